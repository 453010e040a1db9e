//! What must not be written: secrets in words of command lines.
//!
//! Two things tell a secret: it is the value of a variable with a secret's name that the
//! sandbox was given, or it stands where secrets stand or looks like one. The first is
//! certain; the second is a list of habits, and a password that follows none of them is
//! written as it is.

/// What stands in a secret's place.
pub(crate) const MASK: &str = "[redacted]";

/// A shorter value would mask ordinary words wherever they stand.
const SHORTEST_VALUE: usize = 6;

/// Names that hold one of these, in any case and with `-` for `_`, name secrets.
const SECRET_PARTS: &[&str] = &[
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "APIKEY",
    "API_KEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "ENCRYPTION_KEY",
    "SIGNING_KEY",
    "CREDENTIAL",
    "COOKIE",
    "AUTHORIZATION",
];

/// Names that have one of these between their underscores name secrets.
const SECRET_WORDS: &[&str] = &["AUTH", "PASS", "PAT", "PSK", "OTP"];

/// Options of one program whose value is a secret, beyond those with a telling name. The
/// value is the next word, or follows in the same one.
const SECRET_OPTIONS: &[(&str, &str)] = &[
    ("curl", "-u"),
    ("curl", "--user"),
    ("curl", "-U"),
    ("curl", "--proxy-user"),
    ("sshpass", "-p"),
    ("mysql", "-p"),
    ("mysqldump", "-p"),
    ("mariadb", "-p"),
    ("redis-cli", "-a"),
    ("smbclient", "-U"),
    ("ldapsearch", "-w"),
];

/// How tokens of well-known makers begin, and the least length of the whole.
const TOKEN_PREFIXES: &[(&str, usize)] = &[
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("sk-", 20),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("pk_live_", 16),
    ("xoxa-", 16),
    ("xoxb-", 16),
    ("xoxp-", 16),
    ("xoxs-", 16),
    ("xapp-", 16),
    ("AKIA", 20),
    ("ASIA", 20),
    ("AIza", 35),
    ("ya29.", 20),
    ("npm_", 20),
    ("pypi-", 20),
    ("hf_", 20),
    ("crates.io-", 16),
    ("cio", 32),
    ("dop_v1_", 20),
    ("SG.", 20),
    ("shpat_", 20),
    ("gsk_", 20),
    ("r8_", 20),
    ("AGE-SECRET-KEY-", 20),
    ("hvs.", 20),
];

/// Words between a header's name and its secret.
const SCHEMES: &[&str] = &["bearer", "basic", "token", "digest", "apikey", "negotiate"];

/// A run of letters and digits that is longer and has at least three each of capitals, small
/// letters and digits is nobody's word.
const LONG_RUN: usize = 32;
const OF_EACH: usize = 3;

/// Knows the secrets of one sandbox.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first: one may be part of another.
    values: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Redactor({} values)", self.values.len())
    }
}

/// True for names of variables, options and headers whose values are secrets.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let name = name
        .trim_start_matches('-')
        .to_ascii_uppercase()
        .replace(['-', '.'], "_");
    SECRET_PARTS.iter().any(|part| name.contains(part))
        || name.split('_').any(|word| SECRET_WORDS.contains(&word))
}

impl Redactor {
    /// Knows the values of those variables that have a secret's name.
    pub fn new<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let secret = |(name, value): &(&str, &str)| value.len() >= SHORTEST_VALUE && is_secret_name(name);
        let mut values: Vec<String> = variables
            .into_iter()
            .filter(secret)
            .map(|(_, value)| value.to_owned())
            .collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        Self { values }
    }

    /// Words of a command line, each without its secrets.
    #[must_use]
    pub fn words<S: AsRef<str>>(&self, words: &[S]) -> Vec<String> {
        let program = words
            .first()
            .map_or("", |word| word.as_ref().rsplit('/').next().unwrap_or_default());
        let mut next = false;
        let mut clean = Vec::with_capacity(words.len());
        for word in words {
            let word = word.as_ref();
            if std::mem::take(&mut next) && !word.starts_with('-') {
                clean.push(MASK.to_owned());
                continue;
            }
            if let Some(option) = secret_option(program, word) {
                next = option.len() == word.len();
                let rest = if next { "" } else { MASK };
                clean.push(format!("{option}{rest}"));
                continue;
            }
            next = word.starts_with('-') && !word.contains('=') && is_option(word) && is_secret_name(word);
            clean.push(self.text(word));
        }
        clean
    }

    /// A text, such as one word or an error that quotes one.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.values {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), MASK);
            }
        }
        if let Some(key) = text.find("-----BEGIN").filter(|_| text.contains("PRIVATE KEY")) {
            text.truncate(key);
            text.push_str(MASK);
        }
        if text.contains("://") {
            text = without_passwords(&text);
        }
        pieces(&text)
    }
}

/// The option of this program that the word is, or begins with.
fn secret_option(program: &str, word: &str) -> Option<&'static str> {
    SECRET_OPTIONS
        .iter()
        .filter(|(of, _)| *of == program)
        .map(|(_, option)| *option)
        // What follows a long option follows an equals sign, and is found as such.
        .find(|option| word == *option || (!option.starts_with("--") && word.starts_with(option)))
}

fn is_option(word: &str) -> bool {
    word.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// Removes `password` of each `scheme://user:password@host`.
fn without_passwords(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        clean.push_str(before);
        clean.push_str("://");
        let end = after
            .find(|c: char| c == '/' || c.is_whitespace())
            .unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((user, host)) => {
                let name = user.split_once(':').map_or("", |(name, _)| name);
                clean.push_str(name);
                clean.push_str(if name.is_empty() { MASK } else { ":" });
                clean.push_str(if name.is_empty() { "" } else { MASK });
                clean.push('@');
                clean.push_str(host);
            }
            None => clean.push_str(authority),
        }
        rest = tail;
    }
    clean.push_str(rest);
    clean
}

/// What stands between two words of a script, a query or a structure.
fn separates(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '\'' | '"' | '`' | ';' | '&' | '|' | '(' | ')' | '<' | '>' | '?' | ',' | '{' | '}' | '\\'
        )
}

/// Masks what follows a secret's name, and what looks like a token by itself.
fn pieces(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    // The piece before was a secret's name, and one with a sign that a value follows.
    let (mut named, mut expected) = (false, false);
    while !rest.is_empty() {
        let gap = rest.find(|c| !separates(c)).unwrap_or(rest.len());
        let (between, after) = rest.split_at(gap);
        clean.push_str(between);
        let end = after.find(separates).unwrap_or(after.len());
        let (piece, tail) = after.split_at(end);
        rest = tail;
        if piece.is_empty() {
            continue;
        }
        let is_sign = matches!(piece, ":" | "=" | ":=");
        if expected && !is_sign {
            let scheme = SCHEMES.contains(&piece.to_ascii_lowercase().as_str());
            clean.push_str(if scheme || piece == MASK { piece } else { MASK });
            expected = scheme;
            named = false;
            continue;
        }
        if SCHEMES.contains(&piece.to_ascii_lowercase().as_str()) && matches!(piece, "Bearer" | "Basic") {
            clean.push_str(piece);
            expected = true;
            continue;
        }
        expected = (named && is_sign) || announces(piece);
        named = is_secret_name(piece);
        clean.push_str(&one(piece));
    }
    clean
}

/// `--token`, `Authorization:` and `PASSWORD=`: the next piece is the secret.
fn announces(piece: &str) -> bool {
    if let Some(name) = piece.strip_suffix([':', '=']) {
        return is_secret_name(name);
    }
    piece.starts_with("--") && is_option(piece) && is_secret_name(piece)
}

/// `NAME=secret`, `name:secret`, or a token.
fn one(piece: &str) -> String {
    if let Some((name, value)) = piece.split_once('=')
        && !value.is_empty()
        && is_secret_name(name)
    {
        return format!("{name}={MASK}");
    }
    if let Some((name, value)) = piece.split_once(':')
        && !value.is_empty()
        && !value.starts_with("//")
        && is_secret_name(name)
    {
        return format!("{name}:{MASK}");
    }
    tokens(piece)
}

/// Masks runs that look like tokens.
fn tokens(piece: &str) -> String {
    let in_run = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut clean = String::with_capacity(piece.len());
    let mut rest = piece;
    while !rest.is_empty() {
        let start = rest.find(in_run).unwrap_or(rest.len());
        let (between, after) = rest.split_at(start);
        let end = after.find(|c| !in_run(c)).unwrap_or(after.len());
        let (run, tail) = after.split_at(end);
        clean.push_str(between);
        match token(run) {
            Some(kept) => {
                clean.push_str(kept);
                clean.push_str(MASK);
            }
            None => clean.push_str(run),
        }
        rest = tail;
    }
    clean
}

/// What may be shown of a run that looks like a token.
fn token(run: &str) -> Option<&str> {
    for (prefix, least) in TOKEN_PREFIXES {
        if run.len() >= *least && run.starts_with(prefix) {
            return run.get(..prefix.len());
        }
    }
    if run.len() >= 24 && run.starts_with("eyJ") && run.contains('.') {
        return Some("");
    }
    run.split(['_', '-', '.']).any(is_no_word).then_some("")
}

fn is_no_word(run: &str) -> bool {
    let count = |kind: fn(&u8) -> bool| run.bytes().filter(kind).count();
    run.len() >= LONG_RUN
        && count(u8::is_ascii_uppercase) >= OF_EACH
        && count(u8::is_ascii_lowercase) >= OF_EACH
        && count(u8::is_ascii_digit) >= OF_EACH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clean(words: &[&str]) -> String {
        Redactor::default().words(words).join(" ")
    }

    /// Where secrets stand, they are masked, and the rest is kept.
    #[test]
    fn secrets_are_masked_where_they_stand() {
        for (words, expected) in [
            (
                &["login", "--password", "hunter2"][..],
                "login --password [redacted]",
            ),
            (&["login", "--password=hunter2"], "login --password=[redacted]"),
            (&["env", "GH_TOKEN=abc", "make"], "env GH_TOKEN=[redacted] make"),
            (&["curl", "-u", "me:pw", "host"], "curl -u [redacted] host"),
            (&["curl", "-ume:pw", "host"], "curl -u[redacted] host"),
            (
                &["/usr/bin/mysql", "-phunter2", "db"],
                "/usr/bin/mysql -p[redacted] db",
            ),
            (
                &["curl", "-H", "Authorization: Bearer abcdef", "x"],
                "curl -H Authorization: Bearer [redacted] x",
            ),
            (&["curl", "-HX-Api-Key: abc"], "curl -HX-Api-Key: [redacted]"),
            (
                &["git", "clone", "https://me:pw@host/x.git"],
                "git clone https://me:[redacted]@host/x.git",
            ),
            (
                &["git", "clone", "https://abc@host/x"],
                "git clone https://[redacted]@host/x",
            ),
            (
                &[
                    "sh",
                    "-c",
                    "export API_KEY='a b'; curl \"http://h/?token=xyz&n=1\"",
                ],
                "sh -c export API_KEY='[redacted] b'; curl \"http://h/?token=[redacted]&n=1\"",
            ),
            (
                &["post", r#"{"user":"me","password":"hunter2"}"#],
                r#"post {"user":"me","password":"[redacted]"}"#,
            ),
            (&["x", "ghp_0123456789abcdefghijABCDEFGHIJ"], "x ghp_[redacted]"),
            (&["x", "--key=AKIAIOSFODNN7EXAMPLE"], "x --key=AKIA[redacted]"),
            (&["x", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx"], "x [redacted]"),
            (&["x", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY12"], "x [redacted]"),
            (&["x", "-----BEGIN PRIVATE KEY-----\nMII"], "x [redacted]"),
        ] {
            assert_eq!(clean(words), expected);
        }
    }

    /// What builds are made of stays readable.
    #[test]
    fn ordinary_words_are_kept() {
        for words in [
            &["cc", "-O2", "-c", "-o", "tokenizer.o", "tokenizer.c"][..],
            &["git", "commit", "-m", "fix the parser of passwords files"],
            &["git", "show", "0123456789abcdef0123456789abcdef01234567"],
            &[
                "rustc",
                "-C",
                "metadata=0123456789abcdef",
                "--crate-name",
                "secrets",
            ],
            &[
                "ls",
                "/home/Someone1/Projects2024/AVeryLongDirectoryName/With/More",
            ],
            &["npm", "install", "--registry", "https://registry.example.org/"],
            &["sh", "-c", "for i in 1 2; do echo $i; done"],
            &["ssh", "-p", "22", "host"],
            &["tar", "-xf", "a.tar", "--auto-compress"],
        ] {
            assert_eq!(clean(words), words.join(" "));
        }
    }

    #[test]
    fn names_tell_secrets() {
        for name in [
            "GITHUB_TOKEN",
            "aws_secret_access_key",
            "X-Api-Key",
            "DB_PASS",
            "npm_config__auth",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["PATH", "PWD", "HOME", "PATTERN", "AUTHOR", "KEYBOARD", "COMPASS"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    proptest! {
        /// A value that the sandbox was given as a secret is never written.
        #[test]
        fn given_secrets_never_pass(
            secret in "[!-~]{6,40}",
            before in "\\PC{0,20}",
            after in "\\PC{0,20}",
        ) {
            prop_assume!(!MASK.contains(&secret) && !before.contains(&secret));
            let redactor = Redactor::new([("MY_TOKEN", secret.as_str()), ("HOME", "ordinary")]);
            let clean = redactor.words(&["tool", &format!("{before}{secret}{after}")]);
            // Its parts may stand beside the mask by chance; the whole may not.
            let around = clean[1].replace(MASK, "");
            prop_assert!(!clean[1].contains(&secret) || around.contains(&secret), "{clean:?}");
            prop_assert!(clean[1].contains("[redacted]"));
        }

        /// Any words are accepted, and what is clean stays as it is.
        #[test]
        fn any_words_are_accepted(words in proptest::collection::vec("\\PC{0,60}", 0..8)) {
            let redactor = Redactor::default();
            let once = redactor.words(&words);
            prop_assert_eq!(once.len(), words.len());
            let long: usize = words.iter().map(String::len).sum();
            let clean: usize = once.iter().map(String::len).sum();
            prop_assert!(clean <= long * 12 + 64);
        }

        /// A word after an option with a telling name is masked whatever it is.
        #[test]
        fn values_of_secret_options_never_pass(value in "[a-zA-Z0-9/+]{1,50}") {
            prop_assert_eq!(clean(&["x", "--db-password", &value]), "x --db-password [redacted]");
            prop_assert_eq!(clean(&["x", &format!("--secret={value}")]), "x --secret=[redacted]");
        }
    }
}
