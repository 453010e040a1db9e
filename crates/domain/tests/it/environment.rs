//! Variables: an allow-list with its grammar.

use stockade_domain::environment::{
    Environment, MAX_VALUE_BYTES, PASSED_BY_DEFAULT, Variable, parse_env_file,
};

fn host() -> Vec<(String, String)> {
    [
        ("LANG", "C.UTF-8"),
        ("LC_ALL", "C"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("CARGO_TERM_COLOR", "never"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn apply(variables: &[Variable]) -> Environment {
    let mut environment = Environment::default();
    environment.apply(variables, &host());
    environment
}

/// The default list passes language and terminal, and no secret.
#[test]
fn only_listed_variables_pass() {
    let mut environment = Environment::default();
    for pattern in PASSED_BY_DEFAULT {
        environment.pass(pattern, &host());
    }
    let names: Vec<_> = environment.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["LANG", "LC_ALL"]);
}

/// `NAME=value` sets, `NAME` passes, a trailing star passes a family, the last wins.
#[test]
fn the_flag_grammar() {
    let read = |text: &str| text.parse::<Variable>();
    let environment = apply(&[
        read("A=1").expect("set"),
        read("A=b=c").expect("set with ="),
        read("E=").expect("empty value"),
        read("CARGO_*").expect("family"),
        read("MISSING").expect("not there"),
    ]);
    let all: Vec<_> = environment.iter().collect();
    assert_eq!(all, [("A", "b=c"), ("E", ""), ("CARGO_TERM_COLOR", "never")]);
}

/// What no program can be started with is refused, and so is passing everything.
#[test]
fn wrong_variables_are_refused() {
    let long = format!("A={}", "x".repeat(MAX_VALUE_BYTES));
    for text in ["", "=1", "A B=1", "A\n=1", "*", "A*=1", "A=\0", long.as_str()] {
        let error = text.parse::<Variable>().expect_err(text);
        assert!(error.to_string().contains(": "), "it has a remedy: {error}");
    }
    assert!(
        Variable::pass("*")
            .expect_err("all")
            .to_string()
            .contains("every secret")
    );
}

/// Docker's form: comments, values as they are, errors with the line.
#[test]
fn env_files_are_read() {
    let variables = parse_env_file("# comment\n\nA=1 # kept\r\n  B=\"q\"\nLANG\n", "dev.env").expect("fine");
    let environment = apply(&variables);
    assert_eq!(
        environment.iter().collect::<Vec<_>>(),
        [("A", "1 # kept"), ("B", "\"q\""), ("LANG", "C.UTF-8")]
    );
    let error = parse_env_file("A=1\nB C=2\n", "dev.env").expect_err("a space");
    assert!(error.to_string().starts_with("dev.env:2: "), "{error}");
}
