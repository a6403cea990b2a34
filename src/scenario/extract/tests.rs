//! Each extractor on small answers, and what is told when an answer cannot be searched.

use super::*;
use proptest::prelude::*;
use serde_json::json;

const HTML: &str = r#"<!doctype html><html><body><form action="/login"><input name="csrf" VALUE="t0k&amp;n"></form>
<ul><li class="x">one <b>1</b></li><li class="x">two</li><li>three</li></ul></body></html>"#;

fn header(name: &str) -> Option<String> {
    (name == "x-request-id").then(|| "abc".to_owned())
}

/// The last of several.
fn last(count: usize) -> usize {
    count - 1
}

fn find(extractor: Result<Extractor, BadExtractor>, body: &str) -> Result<Option<Value>, NotExtracted> {
    extractor.expect("an extractor").find(&Answered::new(body.as_bytes(), &header), &mut last)
}

#[test]
fn several_results_of_a_path_are_one_or_all() {
    let body = r#"{"items": [{"id": 1}, {"id": 2}], "one": [5]}"#;
    for (path, one, all) in [
        ("$.items[*].id", Some(json!(2)), Some(json!([1, 2]))),
        ("$.items[0].id", Some(json!(1)), Some(json!(1))),
        ("$.one[*]", Some(json!(5)), Some(json!([5]))),
        ("$.one", Some(json!([5])), Some(json!([5]))),
        ("$.none[*]", None, None),
    ] {
        assert_eq!(find(Extractor::json(path, Several::One), body), Ok(one), "{path}");
        assert_eq!(find(Extractor::json(path, Several::All), body), Ok(all), "{path}");
    }
}

#[test]
fn a_body_that_cannot_be_searched_says_why() {
    let id = || Extractor::json("$.id", Several::One);
    let error = find(id(), "<html>").expect_err("no JSON");
    assert_eq!(error.to_string(), "the body is not JSON: expected value at line 1 column 1");
    assert_eq!(find(id(), " "), Err(NotExtracted::NotJson("it is empty".into())));
    assert_eq!(find(id(), "7"), Err(NotExtracted::NoStructure("a number")));
    let large = " ".repeat(LARGEST_BODY + 1);
    assert_eq!(find(id(), &large), Err(NotExtracted::TooLarge(LARGEST_BODY + 1)));
}

#[test]
fn json_is_read_once_and_may_come_read() {
    let value = json!([{"id": 4}]);
    let answer = Answered::value(&value);
    for _ in 0..2 {
        let id = Extractor::json("$.0.id", Several::One).expect("an extractor");
        assert_eq!(id.find(&answer, &mut last), Ok(Some(json!(4))));
    }
    assert_eq!(Answered::text("[1]").structure(), Ok(&json!([1])));
}

#[test]
fn a_regular_expression_gives_its_match_or_a_group() {
    let body = "token=abc123; other=def";
    for (group, expected) in
        [(None, "token=abc123"), (Some(Group::Number(1)), "abc123"), (Some(Group::Name("token".into())), "abc123")]
    {
        assert_eq!(find(Extractor::regexp("token=(?<token>[^;]+)", "", group), body), Ok(Some(json!(expected))));
    }
    assert_eq!(find(Extractor::regexp("nothing", "", None), body), Ok(None));
    assert_eq!(find(Extractor::regexp("(x)|token", "", Some(Group::Number(1))), body), Ok(None));
    assert!(Extractor::regexp("(a)", "", Some(Group::Number(2))).is_err());
    assert!(Extractor::regexp("(a)", "", Some(Group::Name("b".into()))).is_err());
    assert_eq!(Extractor::regexp("é)", "", None).map(|_| ()).map_err(|bad| bad.column), Err(2));
}

#[test]
fn a_header_goes_by_its_name_in_lower_case() {
    assert_eq!(find(Extractor::header("X-Request-Id"), ""), Ok(Some(json!("abc"))));
    assert_eq!(find(Extractor::header("etag"), ""), Ok(None));
    assert!(Extractor::header("a b").is_err());
    assert!(Extractor::header("").is_err());
}

#[test]
fn an_element_gives_its_text_or_an_attribute() {
    for (css, attribute, index, expected) in [
        ("input[name=csrf]", Some("value"), Index::At(0), Some("t0k&n")),
        ("form", Some("action"), Index::default(), Some("/login")),
        ("li.x", None, Index::At(0), Some("one 1")),
        ("li.x", None, Index::At(2), None),
        ("li", None, Index::Last, Some("three")),
        ("li", None, Index::Random, Some("three")),
        ("form", Some("method"), Index::At(0), None),
        ("table", None, Index::Random, None),
    ] {
        let extractor = Extractor::selector(css, attribute.map(Into::into), index);
        assert_eq!(find(extractor, HTML), Ok(expected.map(Value::from)), "{css} {index:?}");
    }
    let many = "<p>".repeat(30_001);
    assert_eq!(find(Extractor::selector("p", None, Index::Last), &many), Err(NotExtracted::TooManyTags(30_001)));
    for css in ["", "li[", "::nope", "li >", &":not(".repeat(9)] {
        assert!(Extractor::selector(css, None, Index::Last).is_err(), "{css}");
    }
}

#[test]
fn nothing_found_is_what_artillery_stores() {
    let nothing = |extractor: Result<Extractor, BadExtractor>| extractor.expect("an extractor").when_nothing();
    assert_eq!(nothing(Extractor::json("$.id", Several::One)), None);
    assert_eq!(nothing(Extractor::json("$.id", Several::All)), Some(json!("")));
    assert_eq!(nothing(Extractor::regexp("x", "", None)), Some(json!("")));
    assert_eq!(nothing(Extractor::header("etag")), Some(json!("")));
    assert_eq!(nothing(Extractor::selector("a", None, Index::Last)), None);
}

#[test]
fn an_extractor_can_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Extractor>();
}

proptest! {
    #[test]
    fn no_answer_makes_it_fail(body: Vec<u8>, css in r#"[a-z.#:()\[\]>+~*,="' -]{0,12}"#, html in r#"(<p>|</p>|<b|>|<table>|text|<li x="1">|<!--){0,12}"#) {
        let answer = Answered::new(&body, &header);
        let page = Answered::text(&html);
        let extractors = [
            Extractor::json("$..*", Several::One),
            Extractor::regexp("(.)+x", "s", None),
            Extractor::selector(&css, None, Index::Random),
            Extractor::selector("p b, li", None, Index::Random),
        ];
        for extractor in extractors.into_iter().flatten() {
            let _ = (extractor.find(&answer, &mut |_| 99), extractor.find(&page, &mut |_| 99));
        }
    }
}
