use super::*;

fn parse_with(line: &str, surroundings: &Surroundings) -> Result<Asked, String> {
    let line: Vec<OsString> = std::iter::once("cli").chain(line.split_whitespace()).map(OsString::from).collect();
    Options::parse(&line, surroundings)
}

fn parse(line: &str) -> Options {
    match parse_with(line, &Surroundings::default()) {
        Ok(Asked::Run(options)) => *options,
        other => panic!("{line}: {other:?}"),
    }
}

fn error(line: &str) -> String {
    parse_with(line, &Surroundings::default()).expect_err(line)
}

fn words(options: &Options) -> Vec<String> {
    options.words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

#[test]
fn options_end_at_the_first_word_that_is_none() {
    let options = parse("-h ::1 -p 7 -n 3 set -n -x --raw");
    assert_eq!(words(&options), ["set", "-n", "-x", "--raw"]);
    assert_eq!((options.address(), options.database), (Address::tcp("::1", 7), 3));
    assert!(!options.takes_stdin);
    assert_eq!(parse("-r -1 -i 0.5 ping").repeat, -1);
    assert_eq!(parse("-i 0.5 ping").interval, Duration::from_millis(500));
    assert_eq!(parse("-a -secret ping").password, Some(b"-secret".to_vec()));
    assert_eq!(parse("-d -e --no-raw get x").element_delimiter, b"-e");
}

#[test]
fn what_is_not_known_is_named() {
    let message = |word: &str| format!("Unrecognized option or bad number of args for: '{word}'");
    for (line, word) in [
        ("--nothing", "--nothing"),
        ("-p 1 --nothing=5 ping", "--nothing=5"),
        ("-z ping", "-z"),
        ("-p", "-p"),
        ("--raw -X", "-X"),
        ("--rdb", "--rdb"),
        ("--eval", "--eval"),
    ] {
        assert_eq!(error(line), message(word), "{line}");
    }
    assert!(matches!(parse_with("-h", &Surroundings::default()), Ok(Asked::Help)), "-h without a host");
    assert!(matches!(parse_with("--help", &Surroundings::default()), Ok(Asked::Help)));
    assert!(matches!(parse_with("-v", &Surroundings::default()), Ok(Asked::Version)));
}

#[test]
fn the_later_one_counts() {
    assert_eq!(parse("--csv --raw ping").output, Output::Raw);
    assert_eq!(parse("--raw --csv ping").output, Output::Csv);
    assert_eq!(parse("-h a -u redis://b:5/2 -p 6 ping").address(), Address::tcp("b", 6));
    assert_eq!(parse("-n 1 -n 2 ping").database, 2);
    assert_eq!(parse("-3 --json ping").resp3, Resp3::Asked);
    assert_eq!(parse("--json -3 ping").resp3, Resp3::Asked);
    assert_eq!(parse("--json ping").resp3, Resp3::Implied);
}

#[test]
fn contradictions() {
    assert_eq!(error("-c -s /x ping"), "Options -c and -s are mutually exclusive.");
    assert_eq!(error("-2 -3 ping"), "Options -2 and -3 are mutually exclusive.");
    assert_eq!(error("-x -X tag ping"), "Options -x and -X are mutually exclusive.");
    assert_eq!(error("--rdb a --functions-rdb b"), "Option --functions-rdb and --rdb are mutually exclusive.");
    assert_eq!(error("--functions-rdb b --rdb a"), "Option --functions-rdb and --rdb are mutually exclusive.");
    assert!(error("--ldb ping").starts_with("Options --ldb and --ldb-sync-mode require --eval.\nTry cli --help"));
    assert_eq!(error("-u http://x ping"), "Invalid URI scheme");
    assert_eq!(error("-p 65536 ping"), "Invalid server port.");
    assert_eq!(error("--quoted-pattern \"x"), "Invalid quoted string specified for --quoted-pattern.");
}

#[test]
fn the_first_mode_in_redis_order_is_done() {
    assert_eq!(parse("--scan --stat --bigkeys").mode, Some(Mode::BigKeys));
    assert_eq!(parse("--memkeys --memkeys-samples 7").mode, Some(Mode::MemKeys { samples: 7 }));
    let dump = Mode::Dump { to: "b".into(), only_functions: false };
    assert_eq!(parse("--rdb a --rdb b").mode, Some(dump));
    let cluster = parse("--cluster call h:1 ping --cluster-only-masters");
    assert_eq!(cluster.cluster_words, [b"call".as_slice(), b"h:1", b"ping"]);
    assert_eq!(cluster.cluster_only, Some(ClusterOnly::Masters));
}

#[test]
fn the_environments_password_gives_way() {
    let surroundings = Surroundings { password: Some("env".into()), ..Surroundings::default() };
    let password = |line| match parse_with(line, &surroundings) {
        Ok(Asked::Run(options)) => options.password,
        other => panic!("{other:?}"),
    };
    assert_eq!(password("ping"), Some(b"env".to_vec()));
    assert_eq!(password("-a own ping"), Some(b"own".to_vec()));
}

#[test]
fn a_terminal_has_another_form() {
    let terminal = Surroundings { has_terminal: true, ..Surroundings::default() };
    let Ok(Asked::Run(options)) = parse_with("ping", &terminal) else { panic!("a command") };
    assert_eq!((options.output, options.shows_pushes), (Output::Standard, true));
    let options = parse("ping");
    assert_eq!((options.output, options.shows_pushes), (Output::Raw, false));
}

#[test]
fn numbers_are_read_as_in_c() {
    for (text, value) in
        [("12x", 12), ("-3", -3), ("x", 0), ("", 0), (" +4", 4), ("99999999999999999999", i64::MAX), ("-", 0)]
    {
        assert_eq!(number(OsStr::new(text)), value, "{text}");
    }
}
