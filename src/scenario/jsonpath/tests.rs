//! Results against those of `jsonpath-plus` and `jsonpath`, places of errors, bounds.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn document() -> Value {
    json!({
        "id": 7, "name": "abc",
        "items": [
            {"id": 1, "x": "y", "price": 5, "tags": ["p", "q"]},
            {"id": 2, "x": "z", "price": 15, "ok": true},
            {"id": 3, "x": "y", "price": 25, "ok": false, "a-b": 9},
        ],
        "a-b": 1, "a b": 2, "0": {"x": "zero"}, "list": [[1, 2], [3, 4]], "n": null, "deep": {"id": 8, "more": {"id": 9}},
        "empty": [], "f": false, "é": 3, "$ref": "r", "x.y": 4,
    })
}

fn find(path: &str) -> Value {
    let path = JsonPath::parse(path).unwrap_or_else(|bad| panic!("{path}: {bad}"));
    Value::Array(path.find(&document()).expect("few values").into_iter().map(Cow::into_owned).collect())
}

/// Each pair as `jsonpath-plus` 10 finds it on the same document.
const FOUND: [(&str, &str); 86] = [
    ("$.id", "[7]"),
    ("id", "[7]"),
    ("$.items[0].id", "[1]"),
    ("items[0].id", "[1]"),
    ("$.items[*].id", "[1, 2, 3]"),
    ("$..id", "[7, 1, 2, 3, 8, 9]"),
    ("$.items.length", "[3]"),
    ("$.items[(@.length-1)].id", "[3]"),
    ("$.items[-1:].id", "[3]"),
    ("$.items[0:2].id", "[1, 2]"),
    ("$.items[::2].id", "[1, 3]"),
    ("$.items[0,2].id", "[1, 3]"),
    ("$[id,name]", r#"[7, "abc"]"#),
    ("$['a-b']", "[1]"),
    ("$.a-b", "[1]"),
    ("$.a b", "[2]"),
    (r#"$["a b"]"#, "[2]"),
    ("$.items.0.id", "[1]"),
    ("$.0.x", r#"["zero"]"#),
    ("$.items[?(@.x=='y')].id", "[1, 3]"),
    ("$.items[?(@.x === 'y')].id", "[1, 3]"),
    ("$.items[?(@.x!='y')].id", "[2]"),
    (r#"$.items[?(@.x !== "y")].id"#, "[2]"),
    ("$.items[?(@.price>10)].id", "[2, 3]"),
    ("$.items[?(@.price>10 && @.x=='y')].id", "[3]"),
    ("$.items[?(@.price<10 || @.ok)].id", "[1, 2]"),
    ("$.items[?(@.ok)].id", "[2]"),
    ("$.items[?(!@.ok)].id", "[1, 3]"),
    ("$.items[?(@.tags)].id", "[1]"),
    ("$.items[?(@['a-b'])].id", "[3]"),
    ("$.items[?(@.price=='15')].id", "[2]"),
    ("$.items[?(@.id%2==1)].id", "[1, 3]"),
    ("$.items[?(@.price*2==30)].id", "[2]"),
    ("$.items[?(@.ok==true)].id", "[2]"),
    ("$.items[?(@.nope==null)].id", "[1, 2, 3]"),
    ("$.items[?(@.nope==undefined)].id", "[1, 2, 3]"),
    ("$.list[*][*]", "[1, 2, 3, 4]"),
    ("$.list..*", "[[1, 2], [3, 4], 1, 2, 3, 4]"),
    ("$.n", "[null]"),
    ("$.n.x", "[]"),
    ("$.f", "[false]"),
    ("$.nope", "[]"),
    ("$.nope.x", "[]"),
    ("$.empty", "[[]]"),
    ("$.empty[*]", "[]"),
    ("$.empty[0]", "[]"),
    ("$.name.length", "[3]"),
    ("$.name[0]", r#"["a"]"#),
    (
        "$.items[*]",
        r#"[{"id": 1, "x": "y", "price": 5, "tags": ["p", "q"]}, {"id": 2, "x": "z", "price": 15, "ok": true}, {"id": 3, "x": "y", "price": 25, "ok": false, "a-b": 9}]"#,
    ),
    (
        "$.items",
        r#"[[{"id": 1, "x": "y", "price": 5, "tags": ["p", "q"]}, {"id": 2, "x": "z", "price": 15, "ok": true}, {"id": 3, "x": "y", "price": 25, "ok": false, "a-b": 9}]]"#,
    ),
    ("$..items[0]", r#"[{"id": 1, "x": "y", "price": 5, "tags": ["p", "q"]}]"#),
    ("$..items[*].tags[*]", r#"["p", "q"]"#),
    ("$.deep..id", "[8, 9]"),
    ("$.é", "[3]"),
    ("$.$ref", r#"["r"]"#),
    ("$['x.y']", "[4]"),
    ("$.x.y", "[]"),
    ("$.items[1:].id", "[2, 3]"),
    ("$.items[:-1].id", "[1, 2]"),
    (
        "$.items[?(@.id)]",
        r#"[{"id": 1, "x": "y", "price": 5, "tags": ["p", "q"]}, {"id": 2, "x": "z", "price": 15, "ok": true}, {"id": 3, "x": "y", "price": 25, "ok": false, "a-b": 9}]"#,
    ),
    ("$.items[0]['id']", "[1]"),
    (r#"$.items[0]["x"]"#, r#"["y"]"#),
    ("$.items.*.id", "[1, 2, 3]"),
    ("$.items[5].id", "[]"),
    ("$..tags[0]", r#"["p"]"#),
    ("$.items[?(@.price > 10)][?(@.x)]", "[]"),
    (
        "items",
        r#"[[{"id": 1, "x": "y", "price": 5, "tags": ["p", "q"]}, {"id": 2, "x": "z", "price": 15, "ok": true}, {"id": 3, "x": "y", "price": 25, "ok": false, "a-b": 9}]]"#,
    ),
    ("$.items[?(@.x=='y')].tags", r#"[["p", "q"]]"#),
    ("$[0]", r#"[{"x": "zero"}]"#),
    ("$['0']['x']", r#"["zero"]"#),
    ("$.items['0'].id", "[1]"),
    ("$.items[?(@.id==1)]..id", "[1]"),
    ("$.deep[*]", r#"[8, {"id": 9}]"#),
    ("$['items'][0]['id']", "[1]"),
    (
        "$.items[-2:]",
        r#"[{"id": 2, "x": "z", "price": 15, "ok": true}, {"id": 3, "x": "y", "price": 25, "ok": false, "a-b": 9}]"#,
    ),
    ("$.items[?(1==1)].id", "[1, 2, 3]"),
    ("$.items[?(@.x.length==1)].id", "[1, 2, 3]"),
    ("$.items[?(@ && @.id==2)].x", r#"["z"]"#),
    ("$.list[?(@[0]==3)]", "[[3, 4]]"),
    ("$.items[(1)].id", "[2]"),
    ("$.items[(@.length-2)].x", r#"["z"]"#),
    ("$.items[?(@.id==1||@.id==3)].x", r#"["y", "y"]"#),
    ("$.items[?((@.id==1||@.id==3)&&@.ok==false)].x", r#"["y"]"#),
    ("$.items[?(@.price-5==10)].x", r#"["z"]"#),
    ("$.items[?(@.price>=15&&@.price<=25)].id", "[2, 3]"),
    ("$.items[?(-@.id==-2)].id", "[2]"),
];

#[test]
fn what_jsonpath_plus_finds() {
    for (path, expected) in FOUND {
        let expected: Value = serde_json::from_str(expected).expect("JSON");
        assert_eq!(find(path), expected, "{path}");
    }
}

/// Where `jsonpath-plus` throws or finds nothing: what `jsonpath` 1 finds, or what was meant.
#[test]
fn what_was_meant() {
    for (path, expected) in [
        ("$['id','name']", json!([7, "abc"])),
        ("$.items[0,1]['id','x']", json!([1, "y", 2, "z"])),
        ("$.items[2:0:-1].id", json!([3, 2])),
        ("$.items[-1].id", json!([3])),
        ("$.items[ 0 ].id", json!([1])),
        ("$.items[?(@.tags.length>1)].id", json!([1])),
        ("$.items[?(@.tags[0]=='p')].id", json!([1])),
        ("$[?(@.id==8)].id", json!([8])),
        ("$..[?(@.price)].id", json!([1, 2, 3])),
        ("$.list[0][?(@>1)]", json!([2])),
        ("$.items[?@.id==1].id", json!([1])),
        ("$.items[?(@.id == $.deep.id - 6)].x", json!(["z"])),
        ("$.items.length.x", json!([])),
    ] {
        assert_eq!(find(path), expected, "{path}");
    }
}

#[test]
fn what_is_not_supported_is_named() {
    for (path, column, named) in [
        ("", 1, "a name"),
        ("$.items^", 8, "`^`"),
        ("$.items[0]^", 11, "`^`"),
        ("$.items[*]~", 11, "`~`"),
        ("$.a[?(@parent.x)]", 14, "`@parent`"),
        ("$.a[?(@.x =~ /y/)]", 11, "`=~`"),
        ("$.a[?(@.x.includes('y'))]", 19, "`includes()`"),
        ("$.a[?(typeof @.x)]", 13, "`typeof`"),
        ("$.a.@number()", 5, "`@`"),
        ("$.a[?(@.x == )]", 14, "a value"),
        ("$.a[0", 6, "`]`"),
        ("$.a['x", 5, "quote"),
        ("$..", 4, "a name"),
        ("$.a[0]b", 7, "`.` or `[`"),
        ("$.a[1:2:0]", 5, "slice"),
    ] {
        let bad = JsonPath::parse(path).map(|_| ()).expect_err(path);
        assert_eq!(bad.column, column, "{path}: {bad}");
        assert!(bad.why.contains(named), "{path}: {bad}");
    }
}

#[test]
fn a_path_of_names_and_places_is_single() {
    for (path, single) in
        [("$.a[0]['b']", true), ("$", true), ("$.a[(@.length-1)]", true), ("$..a", false), ("$.*", false)]
    {
        assert_eq!(JsonPath::parse(path).map(|path| path.is_single()), Ok(single), "{path}");
    }
    assert_eq!(JsonPath::parse("$['a','b']").map(|path| path.is_single()), Ok(false));
}

#[test]
fn work_is_bounded() {
    let wide = json!({"a": vec![json!(vec![1; 1_000]); 1_000]});
    let path = JsonPath::parse("$..*..*..*").expect("a path");
    assert_eq!(path.find(&wide), Err(TooMany));
    for text in [
        "[?".to_owned() + &"(".repeat(1_000),
        "[?".to_owned() + &"!".repeat(1_000),
        "[?@".to_owned() + &"+@".repeat(500),
    ] {
        assert!(JsonPath::parse(&text).is_err());
    }
    assert!(JsonPath::parse(&"a.".repeat(5_000)).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_it_fail(
        text: String,
        odd in r"(\$|\.|\[|\]|\*|items|id|name|0|-1|:|,|'x'|\?|\(|\)|@|==|!|&&|<|\+|length| ){0,16}",
    ) {
        for text in [text, odd] {
            if let Ok(path) = JsonPath::parse(&text) {
                let _ = path.find(&document());
            }
        }
    }

    #[test]
    fn slices_are_those_of_a_plain_loop(length in 0usize..8, from in -10i64..10, to in -10i64..10, step in 1i64..4) {
        let size = i64::try_from(length).expect("small");
        let real = |place: i64| (if place < 0 { place + size } else { place }).clamp(0, size);
        let plain: Vec<usize> = (0..length)
            .filter(|place| {
                let place = i64::try_from(*place).expect("small");
                place >= real(from) && place < real(to) && (place - real(from)) % step == 0
            })
            .collect();
        prop_assert_eq!(places(length, Some(from), Some(to), step), plain);
    }
}
