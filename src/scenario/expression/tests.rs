//! Values against those of `filtrex`, places of errors, bounds.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn lookup(name: &str) -> Option<Value> {
    let names = json!({
        "a": 3, "b": 4, "c": 5, "zero": 0, "yes": true, "no": false, "nothing": null, "text": "abc", "ten": "10", "nine": "9",
        "list": [1, 2, 3], "object": {"x": {"y": 7}, "name": "n"}, "http.response_time.p95": 487.9,
        "http.codes.200": 12, "vusers.created_by_name.CSR – Login": 3
    });
    names.get(name).cloned()
}

fn value(text: &str) -> Option<Value> {
    Expression::parse(text).unwrap_or_else(|bad| panic!("{text}: {bad}")).value(&lookup).expect(text)
}

/// Each pair as `filtrex` 2.2.3 evaluates it.
#[test]
fn values_are_those_of_filtrex() {
    for (text, expected) in [
        ("1 + 2 * 3", json!(7)),
        ("2 ^ 3 ^ 2", json!(64)),
        ("-2 ^ 2", json!(4)),
        ("-a + b", json!(1)),
        ("7 % 4", json!(3)),
        ("-7 % 4", json!(-3)),
        ("10 / 4", json!(2.5)),
        ("a < b", json!(1)),
        ("a == b < c", json!(0)),
        ("(a < b) + 1", json!(2)),
        ("not a == b", json!(0)),
        ("not (a == b)", json!(1)),
        ("not a in (0, 1)", json!(1)),
        ("a in (1, 2, 3)", json!(1)),
        ("a in (1, 2)", json!(0)),
        ("a not in (1, 2)", json!(1)),
        ("a not in (1, 2) + 1", json!(2)),
        ("1 + a not in (1, 2)", json!(2)),
        ("a in a", json!(1)),
        ("\"3\" in (3, 4)", json!(0)),
        ("(1, 2) in list", json!(1)),
        ("list in (1, 2)", json!(0)),
        ("0 ? 1 : 0 ? 2 : 3", json!(3)),
        ("1 ? 0 : 1 ? 2 : 3", json!(3)),
        ("1 ? 1 ? 2 : 3 : 4", json!(2)),
        ("a or b and c", json!(3)),
        ("zero or b", json!(4)),
        ("zero and b", json!(0)),
        ("yes and a", json!(3)),
        ("a and yes", json!(1)),
        ("ten < nine", json!(1)),
        ("ten < 9", json!(0)),
        ("ten == 10", json!(1)),
        ("ten + 1", json!("101")),
        ("ten - 1", json!(9)),
        ("yes == 1", json!(1)),
        ("yes + 1", json!(2)),
        ("no == 0", json!(1)),
        ("missing == nothing", json!(1)),
        ("missing < 1", json!(0)),
        ("missing > 1", json!(0)),
        ("nothing >= 0", json!(1)),
        ("text ~= \"^a.c$\"", json!(1)),
        ("text ~= \"x\"", json!(0)),
        ("a ~= \"3\"", json!(1)),
        ("text ~= text", json!(1)),
        ("\"a\\\"b\\\\\"", json!("a\"b\\")),
        ("name of object", json!("n")),
        ("y of x of object", json!(7)),
        ("y of x of object + 1", json!(8)),
        ("abs(-3)", json!(3)),
        ("ceil(1.2) + floor(1.8)", json!(3)),
        ("max(1, a, 2)", json!(3)),
        ("min(1, a, 2)", json!(1)),
        ("round(2.5)", json!(3)),
        ("round(-2.5)", json!(-2)),
        ("sqrt(16)", json!(4)),
        ("log(1)", json!(0)),
        ("http.response_time.p95 < 500", json!(1)),
        ("'http.codes.200' > 10 and http.codes.200 < 13", json!(1)),
        ("'vusers.created_by_name.CSR – Login' == 3", json!(1)),
        ("list == list", json!(1)),
        ("1 / 0 > 5", json!(1)),
    ] {
        assert_eq!(value(text), Some(expected), "{text}");
    }
}

#[test]
fn what_is_ours_beyond_filtrex() {
    assert_eq!(value("exists(a) and not exists(missing)"), Some(json!(1)));
    assert_eq!(value("empty(missing) and not empty(text)"), Some(json!(1)));
    assert_eq!(value("log2(8) + log10(100)"), Some(json!(5)));
    assert_eq!(value("text and text"), Some(json!(1)), "NaN in filtrex");
    assert_eq!(value("missing"), None);
    assert_eq!(value("0 / 0"), Some(json!(null)));
}

#[test]
fn holding_goes_by_truth() {
    for (text, holds) in
        [("text", true), ("missing", false), ("\"\"", false), ("0 / 0", false), ("list", true), ("nothing", false)]
    {
        assert_eq!(Expression::parse(text).expect(text).holds(&lookup), Ok(holds), "{text}");
    }
}

#[test]
fn names_are_those_looked_up() {
    let expression = Expression::parse("a + max(b, a) > 'c d' and e of f == \"g\"").expect("an expression");
    assert_eq!(expression.names(), ["a", "b", "c d", "f"]);
}

#[test]
fn what_is_no_expression_is_told_with_its_place() {
    for (text, column) in [
        ("", 1),
        ("a +", 4),
        ("a b", 3),
        ("(a", 3),
        ("a && b", 3),
        ("é", 1),
        ("1.5e3", 1),
        ("\"é\" + \"open", 7),
        ("\"\\d\"", 1),
        ("a = 1", 3),
        ("f(1)", 1),
        ("1 < random()", 5),
        ("a ? b", 6),
        ("a ~= \"(\"", 6),
        ("a, b", 2),
        ("()", 2),
    ] {
        let bad = Expression::parse(text).map(|_| ()).expect_err(text);
        assert_eq!(bad.column, column, "{text}: {bad}");
    }
}

#[test]
fn size_is_bounded() {
    assert!(Expression::parse(&"(".repeat(4_000)).is_err());
    assert!(Expression::parse(&"-".repeat(4_000)).is_err());
    assert!(Expression::parse(&"a+".repeat(2_000)).is_err());
    assert!(Expression::parse(&" ".repeat(5_000)).is_err());
    assert!(Expression::parse(&format!("{}a{}", "(".repeat(60), ")".repeat(60))).is_ok());
    let deep = format!("{}a{}{}", "-(".repeat(31), ")".repeat(31), "+a".repeat(128));
    // On a thread with the smallest stack that is in use anywhere: the tree is as high as it can get.
    let small = std::thread::Builder::new().stack_size(512 * 1024);
    let run = small.spawn(move || value(&deep)).expect("a thread");
    assert_eq!(run.join().expect("no overflow"), Some(json!(381)));
    let sum = vec!["a"; 129].join("+");
    assert_eq!(value(&sum), Some(json!(387)));
}

#[test]
fn a_bad_pattern_in_a_variable_is_told() {
    let expression = Expression::parse("text ~= pattern").expect("an expression");
    let answer = expression.holds(&|name| Some(json!(if name == "text" { "x" } else { "(" })));
    assert!(matches!(answer, Err(Unusable::Pattern(_))), "{answer:?}");
}

proptest! {
    #[test]
    fn no_text_makes_it_fail(
        text: String,
        odd in r#"(a|list|text|object|missing|max|not |in |of |and |or |\(|\)|,|\?|:|[-+*/%^<>=~!]|1|"a"|'b'| ){0,16}"#,
    ) {
        for text in [text, odd] {
            if let Ok(expression) = Expression::parse(&text) {
                let _ = expression.value(&lookup);
            }
        }
    }
}
