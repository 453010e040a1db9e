//! Where tool managers keep what `PATH` leads to, and which parts of it are no secrets.

/// One tool manager.
pub(super) struct Toolchain {
    /// Its root below the home directory.
    pub root: &'static str,
    /// Variables that it reads; they pass when it is shown. The first one, if it is an
    /// absolute path, is the root.
    pub variables: &'static [&'static str],
    /// What is shown of it, read-only.
    pub shows: Shows,
    /// Other tool managers that it cannot work without, by root.
    pub needs: &'static [&'static str],
}

/// What is shown of a root.
pub(super) enum Shows {
    /// All of it but these children.
    AllBut(&'static [&'static str]),
    /// These children.
    Only(&'static [&'static str]),
    /// These children, on top of an empty private directory: it writes locks beside them.
    OnPrivate(&'static [&'static str]),
}

const fn all(root: &'static str, variables: &'static [&'static str]) -> Toolchain {
    Toolchain {
        root,
        variables,
        shows: Shows::AllBut(&[]),
        needs: &[],
    }
}

const fn only(
    root: &'static str,
    variables: &'static [&'static str],
    parts: &'static [&'static str],
) -> Toolchain {
    Toolchain {
        root,
        variables,
        shows: Shows::Only(parts),
        needs: &[],
    }
}

/// The table. The longest root that holds a directory of `PATH` counts.
pub(super) const TOOLCHAINS: &[Toolchain] = &[
    // Rust. Cargo keeps its token in credentials.toml, and its lock file in its root.
    Toolchain {
        root: ".cargo",
        variables: &["CARGO_HOME"],
        shows: Shows::OnPrivate(&["bin", "config.toml", "config"]),
        needs: &[".rustup"],
    },
    all(".rustup", &["RUSTUP_HOME", "RUSTUP_TOOLCHAIN"]),
    // Python.
    all(".pyenv", &["PYENV_ROOT", "PYENV_VERSION"]),
    only(".local/share/uv", &[], &["python", "tools"]),
    only(".local/share/pipx", &["PIPX_HOME"], &["venvs", "py"]),
    only(".local/pipx", &["PIPX_HOME"], &["venvs", "py"]),
    only(".local/share/pypoetry", &["POETRY_HOME"], &["venv", "bin"]),
    only(
        ".rye",
        &["RYE_HOME"],
        &["shims", "py", "self", "uv", "tools", "bin"],
    ),
    Toolchain {
        shows: Shows::AllBut(&[".condarc", ".continuum"]),
        ..all("miniconda3", CONDA)
    },
    Toolchain {
        shows: Shows::AllBut(&[".condarc", ".continuum"]),
        ..all("anaconda3", CONDA)
    },
    Toolchain {
        shows: Shows::AllBut(&[".condarc", ".continuum"]),
        ..all("miniforge3", CONDA)
    },
    Toolchain {
        shows: Shows::AllBut(&[".condarc", ".continuum"]),
        ..all("mambaforge", CONDA)
    },
    only(".pixi", &["PIXI_HOME"], &["bin", "envs"]),
    // JavaScript.
    Toolchain {
        shows: Shows::AllBut(&[".npmrc"]),
        ..all(".nvm", &["NVM_DIR", "NVM_BIN"])
    },
    all(".fnm", &["FNM_DIR", "FNM_MULTISHELL_PATH"]),
    all(".local/share/fnm", &["FNM_DIR", "FNM_MULTISHELL_PATH"]),
    all(".volta", &["VOLTA_HOME"]),
    all(".nodenv", &["NODENV_ROOT", "NODENV_VERSION"]),
    only(".bun", &["BUN_INSTALL"], &["bin", "install"]),
    only(".deno", &["DENO_INSTALL"], &["bin"]),
    all(".local/share/pnpm", &["PNPM_HOME"]),
    only(".npm-global", &[], &["bin", "lib", "share"]),
    only(".config/yarn", &[], &["global"]),
    only(".claude", &[], &["local"]),
    // Several languages.
    only(
        ".local/share/mise",
        &["MISE_DATA_DIR"],
        &["shims", "installs", "plugins"],
    ),
    all(".asdf", &["ASDF_DATA_DIR", "ASDF_DIR"]),
    only(".proto", &["PROTO_HOME"], &["shims", "bin", "tools"]),
    all(".linuxbrew", &["HOMEBREW_PREFIX"]),
    // Others.
    only("go", &["GOPATH"], &["bin"]),
    all("sdk", &["GOROOT"]),
    all(".local/go", &["GOROOT"]),
    all(".goenv", &["GOENV_ROOT", "GOENV_VERSION"]),
    only(
        ".sdkman",
        &["SDKMAN_DIR", "JAVA_HOME"],
        &["bin", "candidates", "etc", "libexec"],
    ),
    all(".jenv", &["JENV_ROOT", "JAVA_HOME"]),
    all(".rbenv", &["RBENV_ROOT", "RBENV_VERSION"]),
    only(
        ".rvm",
        &["rvm_path", "GEM_HOME", "GEM_PATH"],
        &["bin", "gems", "rubies", "scripts", "lib"],
    ),
    only(".gem", &[], &["ruby"]),
    only(".local/share/gem", &[], &["ruby"]),
    all(".phpenv", &["PHPENV_ROOT"]),
    only(".composer", &[], &["vendor"]),
    only(".config/composer", &[], &["vendor"]),
    all(".plenv", &["PLENV_ROOT"]),
    only(".ghcup", &[], &["bin", "ghc", "hls"]),
    only(".cabal", &[], &["bin", "packages", "store"]),
    all(".opam", &["OPAMROOT", "OPAMSWITCH", "OPAM_SWITCH_PREFIX"]),
    all(".elan", &["ELAN_HOME"]),
    all(".juliaup", &["JULIAUP_DEPOT_PATH"]),
    all(".dotnet", &["DOTNET_ROOT"]),
    only(".krew", &["KREW_ROOT"], &["bin", "store"]),
    all(".tfenv", &[]),
    only(".foundry", &["FOUNDRY_DIR"], &["bin", "versions"]),
    // Where installers of single programs put them.
    only(".local", &[], &["bin", "lib"]),
];

const CONDA: &[&str] = &["", "CONDA_PREFIX", "CONDA_EXE", "CONDA_DEFAULT_ENV"];

/// What a package manager keeps to use again: of no worth to a thief, and slow to fetch.
pub(super) struct Cache {
    /// The variable that moves it, and what of that directory is the cache.
    pub moved: (&'static str, &'static str),
    /// Where it is below the home directory otherwise.
    pub usual: &'static str,
    /// Programs that use it: it is shown where one of them can be started.
    pub programs: &'static [&'static str],
}

const fn cache(
    moved: (&'static str, &'static str),
    usual: &'static str,
    programs: &'static [&'static str],
) -> Cache {
    Cache {
        moved,
        usual,
        programs,
    }
}

/// Caches, copy-on-write over the host's.
pub(super) const CACHES: &[Cache] = &[
    cache(("CARGO_HOME", "registry"), ".cargo/registry", &["cargo"]),
    cache(("CARGO_HOME", "git"), ".cargo/git", &["cargo"]),
    cache(("npm_config_cache", "_cacache"), ".npm/_cacache", &["npm"]),
    cache(("PIP_CACHE_DIR", ""), ".cache/pip", &["pip", "pip3", "python3"]),
    cache(("UV_CACHE_DIR", ""), ".cache/uv", &["uv"]),
    cache(("GOMODCACHE", ""), "go/pkg/mod", &["go"]),
    cache(("GOPATH", "pkg/mod"), "go/pkg/mod", &["go"]),
    cache(("GOCACHE", ""), ".cache/go-build", &["go"]),
    cache(("MAVEN_REPO_LOCAL", ""), ".m2/repository", &["mvn"]),
    cache(("GRADLE_USER_HOME", "caches"), ".gradle/caches", &["gradle"]),
    cache(("YARN_CACHE_FOLDER", ""), ".cache/yarn", &["yarn"]),
    cache(("", ""), ".local/share/pnpm/store", &["pnpm"]),
];

/// Tool managers outside of the home directory: a directory of `PATH` below the first
/// needs the second to be shown.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    ("/nix", "/nix/store"),
    ("/home/linuxbrew/.linuxbrew", "/home/linuxbrew/.linuxbrew"),
    ("/snap", "/snap"),
];

/// What belongs to the programs in `PREFIX/bin`.
pub(super) const PREFIX_PARTS: &[&str] = &["lib", "lib64", "libexec", "share", "include", "pyvenv.cfg"];
