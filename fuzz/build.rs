//! Says beforehand why a fuzzer would crash when it starts.

fn main() {
    let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    if features.split(',').any(|feature| feature == "crt-static") {
        println!(
            "cargo::warning=linked statically, as the project's settings have it, a fuzzer ends with SIGSEGV when it \
             starts: libFuzzer looks for the C library's memcmp at run time. Build it as README.md says."
        );
    }
}
