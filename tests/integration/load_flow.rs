//! How virtual users go through their scenarios: waits, loops, steps side by side, chance and its seed, variables and rows,
//! what is captured, what `before` and `after` do, and how flags change a script. All of it as a server sees it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::load::{Load, Ran, counts};
use crate::support::web::WebServer;
use crate::support::web::decoded;
use crate::support::web::request::Received;

/// Targets in the order in which they came.
fn targets(server: &WebServer) -> Vec<String> {
    server.requests().into_iter().map(|request| request.target).collect()
}

/// How often each target came.
fn tally(server: &WebServer) -> BTreeMap<String, u64> {
    targets(server).into_iter().fold(BTreeMap::new(), |mut tally, target| {
        *tally.entry(target).or_default() += 1;
        tally
    })
}

/// The documents that came as bodies.
fn documents(server: &WebServer) -> Vec<Value> {
    server.requests().iter().map(|request| serde_json::from_slice(&request.body).expect("a document")).collect()
}

/// The lines of standard output before the summary.
fn logged(ran: &Ran) -> Vec<String> {
    ran.finished.stdout.lines().take_while(|line| !line.starts_with("All virtual users")).map(str::to_owned).collect()
}

#[test]
fn loops_count_range_and_go_over_lists() {
    let server = WebServer::start();
    let ran = Load::of(
        &server.url(),
        [
            "loop: [get: { url: \"/echo?count={{ $loopCount }}\" }]\n        count: 2",
            "loop: [get: { url: \"/echo?range={{ $loopCount }}\" }]\n        count: 3-5",
            "loop: [get: { url: \"/echo?variable={{ $loopCount }}\" }]\n        count: \"{{ two }}\"",
            "loop: [get: { url: \"/echo?list={{ $loopElement }}.{{ $loopCount }}\" }]\n        over: [a, \"{{ two }}\"]",
            "loop: [get: { url: \"/echo?named={{ $loopElement.id }}\" }]\n        over: deep.rows",
            "loop: [get: { url: /never-reached }]\n        over: two",
            "get: { url: /items, capture: { json: $, multiple: false, as: items } }",
            "loop: [get: { url: \"/echo?item={{ $loopElement.name }}\" }]\n        over: items",
        ],
    )
    .config("variables: { two: 2, deep: { rows: [{ id: x }, { id: y }] } }")
    .run()
    .succeeded();
    let queries: Vec<String> =
        targets(&server).iter().filter_map(|target| Some(target.strip_prefix("/echo?")?.to_owned())).collect();
    assert_eq!(
        queries,
        [
            "count=0",
            "count=1",
            "range=3",
            "range=4",
            "variable=0",
            "variable=1",
            "list=a.0",
            "list=2.1",
            "named=x",
            "named=y",
            "item=one",
            "item=two",
            "item=three"
        ]
    );
    assert_eq!((ran.counter("http.codes.200"), ran.users()), (14, [1, 1, 0, 0]));
}

#[test]
fn loops_stand_inside_loops_and_share_what_is_captured() {
    let server = WebServer::start();
    let inner = "- loop:\n              - get: { url: \"/echo?{{ x }}.{{ y }}.{{ n }}\", capture: { json: $.query, as: q } }\n              \
                 - get: { url: /counter, capture: { json: $.n, as: n } }\n            count: 2\n            loopValue: y";
    let outer = format!("loop:\n          {inner}\n        over: [a, b]\n        loopElement: x");
    let ran = Load::of(&server.url(), [&outer]).config("variables: { n: 0 }").run().succeeded();
    let asked: Vec<String> = targets(&server).into_iter().filter(|target| target != "/counter").collect();
    assert_eq!(asked, ["/echo?a.0.0", "/echo?a.1.2", "/echo?b.0.4", "/echo?b.1.6"]);
    assert_eq!(ran.counter("http.requests"), 8);
}

#[test]
fn steps_side_by_side_share_one_connection_unless_there_are_more() {
    let server = WebServer::start();
    let parallel = "parallel: [get: { url: /json }, get: { url: /items }, get: { url: /counter }, get: { url: /page }]";
    let ran = Load::of(&server.url(), [parallel, "get: { url: /echo }"]).run().succeeded();
    assert_eq!((server.requests().len(), server.connections(), server.most_at_once()), (5, 1, 1));
    assert_eq!(ran.counter("http.codes.200"), 5);
    assert_eq!(targets(&server)[4], "/echo");
}

#[test]
fn max_sockets_lets_steps_go_at_the_same_time() {
    let server = WebServer::start();
    let gate = "get: { url: /gate }";
    let parallel = format!("parallel: [{gate}, {gate}, {gate}, {gate}, {gate}]");
    let load = Load::of(&server.url(), [&parallel, "get: { url: /echo }"]).config("http: { maxSockets: 3 }").start();
    server.wait_for(3);
    server.open_gate();
    let ran = load.ended().succeeded();
    assert_eq!((server.requests().len(), server.connections(), server.most_at_once()), (6, 3, 3));
    assert_eq!(ran.users(), [1, 1, 0, 0]);
    let queued = ran.own("/endpoints/0/queued");
    assert_eq!(queued["count"], json!(2), "{queued}");
}

#[test]
fn steps_side_by_side_have_a_limit_of_their_own() {
    let server = WebServer::start();
    let gate = "get: { url: /gate }";
    let parallel = format!("parallel: [{gate}, {gate}, {gate}, {gate}]\n        limit: 2");
    let load = Load::of(&server.url(), [&parallel]).config("http: { maxSockets: 10 }").start();
    server.wait_for(2);
    server.open_gate();
    load.ended().succeeded();
    assert_eq!((server.requests().len(), server.most_at_once()), (4, 2));
}

#[test]
fn a_count_that_is_none_ends_the_user() {
    let server = WebServer::start();
    let looping = "{ loop: [get: { url: /never-reached }], count: \"{{ missing }}\" }";
    let ran = Load::of(&server.url(), [looping, "get: { url: /never-reached }"]).run().succeeded();
    assert_eq!((ran.users(), server.requests().len()), ([1, 0, 1, 0], 0));
    assert_eq!(ran.counters_of("errors."), counts(&[("invalid count", 1)]));
}

#[test]
fn the_first_of_parallel_steps_that_fails_ends_the_user() {
    let server = WebServer::start();
    let parallel = "parallel: [get: { url: /no-answer }, get: { url: /json, capture: { json: $.no, as: no } }]";
    let load = Load::of(&server.url(), [parallel, "get: { url: /never-reached }"]).config("http: { maxSockets: 2 }");
    let ran = load.run().succeeded();
    assert_eq!(ran.users(), [1, 0, 1, 0]);
    assert_eq!(ran.counters_of("errors."), counts(&[("Failed capture or match", 1)]));
    assert!(!targets(&server).contains(&"/never-reached".to_owned()));
}

#[test]
fn a_pool_is_shared_by_all_users() {
    let server = WebServer::start();
    let parallel = "parallel: [get: { url: /gate }, get: { url: /gate }, get: { url: /gate }]";
    let load = Load::of(&server.url(), [parallel, "get: { url: /json }"]).users(4).config("http: { pool: 2 }").start();
    server.wait_for(2);
    server.open_gate();
    let ran = load.ended().succeeded();
    assert_eq!((server.requests().len(), server.connections(), server.most_at_once()), (16, 2, 2));
    assert_eq!((ran.users(), ran.counter("http.codes.200")), ([4, 4, 0, 0], 16));
}

#[test]
fn thinking_keeps_a_user_without_asking() {
    let server = WebServer::start();
    let steps = ["get: { url: /json }", "think: 100ms", "think: \"{{ pause }}\"", "get: { url: /items }"];
    let ran = Load::of(&server.url(), steps).config("variables: { pause: 0.1 }").run().succeeded();
    assert_eq!(targets(&server), ["/json", "/items"]);
    let session = &ran.json["aggregate"]["summaries"]["vusers.session_length"];
    assert!(session["min"].as_f64().is_some_and(|length| length >= 200.0), "{session}");
    let times = &ran.json["aggregate"]["summaries"]["http.response_time"];
    assert!(times["max"].as_f64().is_some_and(|length| length < 100.0), "{times}");
}

#[test]
fn what_a_script_logs_stands_on_standard_output() {
    let server = WebServer::start();
    let steps = ["log: \"hello {{ name }}, {{ gone }}, {{ list }}\"", "log: 7", "get: { url: /json }"];
    let load = || Load::of(&server.url(), steps).users(2).config("variables: { name: Zoë, list: {a: [1]} }");
    let ran = load().run().succeeded();
    let mut lines = logged(&ran);
    lines.sort();
    assert_eq!(lines, ["7", "7", "hello Zoë, undefined, {\"a\":[1]}", "hello Zoë, undefined, {\"a\":[1]}"]);
    let quiet = load().arguments(["--quiet"]).run().succeeded();
    assert_eq!(quiet.finished.stdout.matches("hello Zoë").count(), 2);
    assert!(!quiet.finished.stdout.contains("Summary report"), "{}", quiet.finished.stdout);
}

/// Three scenarios of different weight; each user asks once.
fn weighted(server: &WebServer, seed: &str) -> Load {
    Load::script(format!(
        r#"
config:
  target: "{}"
  phases: [{{ duration: 50ms, arrivalCount: 40 }}]
  variables: {{ pick: [a, b, c, d] }}
scenarios:
  - name: often
    weight: 9
    flow: [get: {{ url: "/echo?often={{{{ pick }}}}&n={{{{ $randomNumber(1, 1000000) }}}}" }}]
  - name: seldom
    flow: [get: {{ url: "/echo?seldom={{{{ $randomString(12) }}}}", headers: {{ x: "{{{{ $uuid }}}}" }} }}]
  - name: never
    weight: 0
    flow: [get: {{ url: /never-reached }}]
"#,
        server.url()
    ))
    .arguments(["--seed", seed])
}

#[test]
fn equal_seeds_make_equal_choices() {
    let received = |seed: &str| {
        let server = WebServer::start();
        let ran = weighted(&server, seed).run().succeeded();
        assert_eq!(ran.own("/seed").to_string(), seed);
        let asked: BTreeSet<String> = server
            .requests()
            .into_iter()
            .map(|request| format!("{} {}", request.target, request.header("x").unwrap_or_default()))
            .collect();
        (asked, ran)
    };
    let ((first, ran), (second, _), (other, _)) = (received("7"), received("7"), received("8"));
    assert_eq!((first.len(), &first), (40, &second));
    assert_ne!(first, other);
    let by_name = ran.counters_of("vusers.created_by_name.");
    let often = first.iter().filter(|asked| asked.contains("often=")).count() as u64;
    assert_eq!(by_name, counts(&[("often", often), ("seldom", 40 - often)]));
    assert!((30..40).contains(&often), "{often} of 40 with a weight of 9 in 10");
    ran.tells(&["  Scenario counts:\n", &format!("    often: {often} (")]);
    let scenarios: Vec<&Value> =
        ran.own("/scenarios").as_array().expect("a list").iter().map(|one| &one["created"]).collect();
    assert_eq!(scenarios, [&json!(often), &json!(40 - often), &json!(0)]);
}

#[test]
fn a_seed_that_was_not_given_is_told() {
    let server = WebServer::start();
    let ran = Load::of(&server.url(), ["get: { url: /json }"]).run().succeeded();
    let seed = format!("--seed {}", ran.own("/seed"));
    assert!(ran.finished.stderr.contains(&seed), "{}", ran.finished.stderr);
}

#[test]
fn variables_keep_their_types_and_lists_are_drawn_from() {
    let server = WebServer::start();
    let ran = Load::of(
        &server.url(),
        [
            "post: { url: /echo, json: { n: \"{{ n }}\", yes: \"{{ yes }}\", user: \"{{ user }}\", text: \"n={{ n }}\", \
             none: \"{{ none }}\", one: \"{{ any }}\", \"key-{{ n }}\": \"{{ user.tags[1] }}\", deep: \"{{ user['first name'] }}\", \
             literal: \"{{ a || 'b' }}\", number: \"{{ $randomNumber(5, 5) }}\" } }",
        ],
    )
    .users(6)
    .config("variables: { n: 3, yes: true, user: { tags: [a, b], \"first name\": Zoë }, none: null, any: [1, 2] }")
    .arguments(["--seed", "1"])
    .run()
    .succeeded();
    let documents = documents(&server);
    for document in &documents {
        assert_eq!((&document["n"], &document["yes"], &document["text"]), (&json!(3), &json!(true), &json!("n=3")));
        assert_eq!((&document["user"]["tags"], &document["none"]), (&json!(["a", "b"]), &json!(null)));
        assert_eq!((&document["key-3"], &document["deep"]), (&json!("b"), &json!("Zoë")));
        assert_eq!((&document["literal"], &document["number"]), (&json!("{{ a || 'b' }}"), &json!("5")));
    }
    let ones: BTreeSet<String> = documents.iter().map(|document| document["one"].to_string()).collect();
    assert_eq!(ones, BTreeSet::from(["1".to_owned(), "2".to_owned()]));
    assert_eq!(ran.users(), [6, 6, 0, 0]);
}

const ROWS: &str = "id,name\n1,Ann\n2,\"Bob, jr\"\n3,Zoë\n";

#[test]
fn every_user_gets_a_row() {
    let server = WebServer::start();
    let step = ["post: { url: /echo, json: { id: \"{{ id }}\", name: \"{{ name }}\" } }"];
    let load = |payload: &str| {
        let line = format!("payload: {{ path: ./rows.csv, fields: [id, name], skipHeader: true, {payload} }}");
        Load::of(&server.url(), step).file("rows.csv", ROWS).config(&line).users(7)
    };
    load("order: sequence").run().succeeded();
    let mut ids: Vec<i64> = documents(&server).iter().filter_map(|document| document["id"].as_i64()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 1, 1, 2, 2, 3, 3]);
    load("order: random, cast: false").arguments(["--seed", "3"]).run().succeeded();
    let names: BTreeSet<String> = documents(&server)[7..].iter().map(|document| document["name"].to_string()).collect();
    assert_eq!(names, ["\"Ann\"", "\"Bob, jr\"", "\"Zoë\""].map(str::to_owned).into());
    let other = load("order: sequence").file("other.csv", "id,name\n9,Nina\n").arguments(["-p", "other.csv"]);
    other.run().succeeded();
    assert_eq!(documents(&server)[14..], vec![json!({"id": 9, "name": "Nina"}); 7]);
}

#[test]
fn all_rows_can_be_one_variable() {
    let server = WebServer::start();
    let step = ["loop: [get: { url: \"/echo?{{ $loopElement.id }}\" }]\n        over: rows"];
    let payload = "payload: [{ path: rows.csv, fields: [id, name], skipHeader: true, loadAll: true, name: rows }]";
    Load::of(&server.url(), step).file("rows.csv", ROWS).config(payload).run().succeeded();
    assert_eq!(targets(&server), ["/echo?1", "/echo?2", "/echo?3"]);
}

fn framed(server: &WebServer, before: &str, after: &str) -> Load {
    Load::script(format!(
        r#"
config:
  target: "{}"
  phases: [{{ duration: 20ms, arrivalCount: 3 }}]
before: {{ flow: [{before}] }}
after: {{ flow: [{after}] }}
scenarios:
  - flow:
      - get: {{ url: "/echo?token={{{{ token }}}}" }}
"#,
        server.url()
    ))
}

#[test]
fn before_and_after_frame_the_run_and_are_in_no_number() {
    let server = WebServer::start();
    let before = "get: { url: /token, capture: { json: $.token, as: token } }, log: before";
    let ran = framed(&server, before, "delete: { url: \"/echo?token={{ token }}\" }, log: \"after {{ token }}\"").run();
    let ran = ran.succeeded();
    let methods: Vec<String> = server.requests().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["GET", "GET", "GET", "GET", "DELETE"]);
    assert_eq!(tally(&server), counts(&[("/token", 1), ("/echo?token=secret-1", 4)]));
    assert_eq!((ran.counter("http.requests"), ran.counter("http.responses"), ran.users()), (3, 3, [3, 3, 0, 0]));
    assert_eq!(logged(&ran), ["before", "after secret-1"]);
}

#[test]
fn nobody_arrives_when_before_fails() {
    let server = WebServer::start();
    for before in ["get: { url: /json, capture: { json: $.none, as: token } }", "get: { url: /reset }"] {
        let already = server.requests().len();
        let ran = framed(&server, before, "get: { url: /echo }").run().ended_with(1);
        assert_eq!(server.requests().len(), already + 1);
        assert!(ran.finished.stderr.contains("`before` failed"), "{}", ran.finished.stderr);
        assert!(!ran.names().contains(&"report.json".to_owned()));
    }
}

#[test]
fn after_cannot_fail_a_run() {
    let server = WebServer::start();
    let ran = framed(&server, "log: b", "get: { url: /reset }, get: { url: /never-reached }").run().succeeded();
    assert_eq!((server.requests().len(), ran.users()), (4, [3, 3, 0, 0]));
    assert_eq!(ran.counters_of("errors."), BTreeMap::new());
}

#[test]
fn flows_can_be_put_together_from_lists() {
    let server = WebServer::start();
    let script = format!(
        r#"
config: {{ target: "{}", phases: [{{ duration: 20ms, arrivalCount: 1 }}] }}
parts:
  inner: &inner
    - get: {{ url: /items }}
  outer: &outer
    - get: {{ url: /json }}
    - *inner
scenarios:
  - flow:
      - *outer
      - [[get: {{ url: /page }}]]
      - *inner
"#,
        server.url()
    );
    let ran = Load::script(script).run().succeeded();
    assert_eq!(targets(&server), ["/json", "/items", "/page", "/items"]);
    assert_eq!(ran.users(), [1, 1, 0, 0]);
}

#[test]
fn values_are_captured_from_everywhere() {
    let server = WebServer::start();
    Load::of(
        &server.url(),
        [
            "get: { url: /head, capture: [{ header: x-head, as: header }, { json: \"$.items[1].name\", as: deep.json }, \
             { json: $.tags, as: all, multiple: false }, { json: \"$.items[?(@.id=={{ one }})].name\", as: filtered }] }",
            "get: { url: /page, capture: [{ regexp: 'name=\"csrf\" value=\"([^\"]+)\"', group: 1, as: regexp }, \
             { selector: \"li.last a\", attr: href, as: selector }, { selector: p.price, as: text }] }",
            "post: { url: /echo, json: { header: \"{{ header }}\", json: \"{{ deep.json }}\", all: \"{{ all }}\", filtered: \
             \"{{ filtered }}\", regexp: \"{{ regexp }}\", selector: \"{{ selector }}\", text: \"{{ text }}\" } }",
        ],
    )
    .config("variables: { one: 1 }")
    .run()
    .succeeded();
    let document = server.requests().last().map(Received::text).unwrap_or_default();
    let captured: Value = serde_json::from_str(&document).expect("a document");
    assert_eq!((&captured["header"], &captured["json"]), (&json!("yes"), &json!("second")));
    assert_eq!((&captured["filtered"], &captured["regexp"]), (&json!("first"), &json!("csrf-1234")));
    assert_eq!((&captured["selector"], &captured["text"]), (&json!("/items?page=3"), &json!("12.50 €")));
    assert!(captured["all"] == json!(["a", "b", "c"]) || captured["all"] == json!([["a", "b", "c"]]), "{captured}");
}

#[test]
fn a_capture_that_fails_ends_the_user_and_says_which() {
    let server = WebServer::start();
    let captures = "[{ json: $.count, as: count }, { json: $.token, as: token }]";
    let step = format!("get: {{ url: /json, capture: {captures} }}");
    let ran = Load::of(&server.url(), [&step, "get: { url: /never-reached }"]).users(3).run().succeeded();
    assert_eq!((targets(&server), ran.users()), (vec!["/json".to_owned(); 3], [3, 0, 3, 0]));
    assert_eq!(ran.counters_of("errors."), counts(&[("Failed capture or match", 3)]));
    let failure = ran.failure();
    assert_eq!(
        (&failure["kind"], &failure["count"], &failure["step"]),
        (&json!("capture"), &json!(3), &json!(ran.place("/json")))
    );
    let detail = failure["examples"][0]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("$.token") && detail.contains("there is no such value in the answer"), "{detail}");
    assert_eq!(failure["examples"][0]["status"], json!(200));
}

#[test]
fn a_capture_that_is_not_strict_leaves_its_variable_undefined() {
    let server = WebServer::start();
    let next = "get: { url: \"/echo?{{ a }}.{{ count }}\" }";
    let run = |step: &str, config: &str| {
        let ran = Load::of(&server.url(), [step, next]).config(config).run().succeeded();
        assert_eq!((ran.users(), ran.failures().len()), ([1, 1, 0, 0], 0), "{step}");
    };
    let none = "timeout: 5";
    run("get: { url: /json, capture: [{ json: $.none, as: a, strict: false }, { json: $.count, as: count }] }", none);
    run("get: { url: /json, strict: false, capture: [{ json: $.none, as: a }, { json: $.count, as: count }] }", none);
    let lax = "http: { defaults: { strictCapture: false } }";
    run("get: { url: /json, capture: [{ json: $.none, as: a }, { json: $.count, as: count }] }", lax);
    let echoes: Vec<String> = targets(&server).into_iter().filter(|target| target.starts_with("/echo")).collect();
    assert!(echoes.iter().all(|echo| echo.starts_with("/echo?undefined.")), "{echoes:?}");
    assert_eq!(echoes.len(), 3);
}

#[test]
fn when_one_capture_is_strict_and_fails_none_is_kept() {
    let server = WebServer::start();
    // Of a user that goes on, so that what it knows can be seen: `match` alone decides whether it does.
    let step = "get: { url: /json, capture: [{ json: $.count, as: count }, { json: $.no, as: no, strict: true }] }";
    let after = "get: { url: \"/echo?{{ count }}\" }";
    let ran = Load::script(format!(
        "config: {{ target: \"{}\", variables: {{ count: old }}, phases: [{{ duration: 20ms, arrivalCount: 1 }}] }}\n\
         scenarios:\n  - flow:\n      - parallel:\n          - {step}\n          - loop: [think: 50ms, {after}]\n            count: 4\n",
        server.url()
    ));
    let ran = ran.run().succeeded();
    assert_eq!(ran.users(), [1, 0, 1, 0]);
    assert!(targets(&server).iter().all(|target| target != "/echo?3"), "{:?}", targets(&server));
}

#[test]
fn a_match_decides_whether_a_user_goes_on() {
    let server = WebServer::start();
    let ran = Load::of(
        &server.url(),
        [
            "get: { url: /json, match: { json: $.name, value: \"{{ name }}\" } }",
            "get: { url: /json, match: [{ json: $.count, value: 3 }, { header: content-type, value: application/json }] }",
            "get: { url: /json, match: { json: $.count, value: \"4\", strict: false } }",
            "get: { url: /json, match: { json: $.count, value: \"3\" } }",
            "get: { url: /never-reached }",
        ],
    )
    .config("variables: { name: \"Zoë – 東京\" }")
    .run()
    .succeeded();
    assert_eq!(targets(&server), ["/json", "/json", "/json", "/json"]);
    assert_eq!(ran.counters_of("errors."), counts(&[("Failed capture or match", 1)]));
    let details: Vec<&str> =
        ran.failures().iter().filter_map(|failure| failure["examples"][0]["detail"].as_str()).collect();
    assert_eq!(details.len(), 2);
    assert!(details.iter().all(|detail| detail.contains("it is 3, not \"")), "{details:?}");
}

#[test]
fn templates_are_rendered_in_every_place() {
    let server = WebServer::start();
    Load::of(
        &server.url(),
        [
            "post: { url: \"{{ target }}/{{ path }}\", qs: { q: \"{{ v }}\" }, headers: { x: \"{{ v }}\" }, body: \"b {{ v }}\", \
             cookie: { c: \"{{ v }}\" }, auth: { user: \"{{ v }}\", pass: \"{{{ v }}}\" } }",
            "post: { url: /form, form: { f: \"{{ v }}\" } }",
            "post: { url: /multipart, formData: { m: \"{{ v }}\" } }",
            "get: { url: /json, capture: { json: \"$.{{ field }}\", as: got }, match: { json: \"$.{{ field }}\", value: \"{{ three }}\" } }",
            "get: { url: /page, capture: { regexp: \"<{{ tag }}>([^<]+)\", group: 1, as: title } }",
            "log: \"{{ got }} {{ title }} {{ $environment }}\"",
            "think: \"{{ pause }}\"",
        ],
    )
    .config("variables: { v: V, path: echo, field: count, three: 3, tag: title, pause: 1ms }")
    .run()
    .succeeded()
    .tells(&["3 A page undefined\n"]);
    let requests = server.requests();
    assert_eq!((requests[0].target.as_str(), requests[0].text()), ("/echo?q=V", "b V".to_owned()));
    assert_eq!((requests[0].header("x"), requests[0].header("cookie")), (Some("V"), Some("c=V")));
    assert_eq!(requests[0].credentials("authorization").as_deref(), Some("V:V"));
    assert_eq!(decoded::form(&requests[1]), json!({"f": "V"}));
    assert_eq!(decoded::multipart(&requests[2])[0]["text"], json!("V"));
}

/// A script that says in a request all that flags can change.
fn changeable(server: &WebServer) -> Load {
    Load::script(format!(
        r#"
config:
  target: "{}"
  phases: [{{ duration: 20ms, arrivalCount: 2 }}]
  variables: {{ a: script, b: script, c: "in {{{{ $environment }}}}" }}
  environments:
    staging:
      variables: {{ a: staging }}
      phases: [{{ duration: 20ms, arrivalCount: 3 }}]
scenarios:
  - name: first one
    flow: [get: {{ url: "/echo?{{{{ a }}}}.{{{{ b }}}}.{{{{ $environment }}}}" }}]
  - name: second one
    weight: 0
    flow: [get: {{ url: "/echo?second" }}]
"#,
        server.url()
    ))
}

#[test]
fn flags_change_a_script() {
    let told = |load: &dyn Fn(Load) -> Load| {
        let server = WebServer::start();
        load(changeable(&server)).run().succeeded();
        tally(&server)
    };
    assert_eq!(told(&|load| load), counts(&[("/echo?script.script.undefined", 2)]));
    assert_eq!(told(&|load| load.arguments(["-e", "staging"])), counts(&[("/echo?staging.script.staging", 3)]));
    let variables = told(&|load| load.arguments(["-e", "staging", "-v", r#"{"b":"flag"}"#]));
    assert_eq!(variables, counts(&[("/echo?staging.flag.staging", 3)]));
    let overrides = r#"{"config":{"phases":[{"duration":"20ms","arrivalCount":1}],"variables":{"a":"over"}}}"#;
    assert_eq!(told(&|load| load.arguments(["--overrides", overrides])), counts(&[("/echo?over.script.undefined", 1)]));
    assert_eq!(told(&|load| load.arguments(["--solo"])), counts(&[("/echo?script.script.undefined", 1)]));
    assert_eq!(told(&|load| load.arguments(["--scenario-name", "second one"])), counts(&[("/echo?second", 2)]));
    assert_eq!(told(&|load| load.arguments(["--scenario-name", "^sec"])), counts(&[("/echo?second", 2)]));
    let config = "config: { variables: { b: config }, phases: [{ arrivalCount: 4 }] }";
    let laid_over = told(&|load| load.file("config.yml", config).arguments(["-c", "config.yml"]));
    assert_eq!(laid_over, counts(&[("/echo?script.config.undefined", 4)]));
    let second =
        told(&|load| load.file("second.json", r#"{"config":{"variables":{"a":"json"}}}"#).arguments(["second.json"]));
    assert_eq!(second, counts(&[("/echo?json.script.undefined", 2)]));
    let elsewhere = WebServer::start();
    let url = elsewhere.url();
    assert_eq!(told(&|load| load.arguments(["-t", &url])), BTreeMap::new());
    assert_eq!(elsewhere.requests().len(), 2);
}

#[test]
fn names_that_do_not_fit_are_refused_before_anything_is_sent() {
    let server = WebServer::start();
    for arguments in
        [["--scenario-name", "third"], ["--scenario-name", "one$"], ["-v", "{no json"], ["--overrides", "[]"]]
    {
        let ran = changeable(&server).arguments(arguments).run().ended_with(2);
        assert_eq!((server.requests().len(), ran.names()), (0, vec!["script.yaml".to_owned()]), "{arguments:?}");
    }
}

#[test]
fn the_environment_comes_from_the_process_and_from_a_file() {
    let server = WebServer::start();
    let script = "
config:
  target: \"{{ $processEnvironment.WHERE }}\"
  phases: [{ duration: 20ms, arrivalCount: {{ $env.HOW_MANY }} }]
  http: { defaults: { headers: { x: \"{{ $processEnvironment.BOTH }}\" } } }
scenarios:
  - flow: [get: { url: \"/echo?{{ $processEnvironment.FILE_ONLY }}\" }]
";
    let load = || Load::script(script).env("WHERE", &server.url()).env("BOTH", "process");
    let file = "# comment\nHOW_MANY=2\nexport FILE_ONLY='a b'\nBOTH=file\n";
    let ran = load().file("my.env", file.replace("a b", "ab")).arguments(["--dotenv", "my.env"]).run().succeeded();
    assert_eq!((tally(&server), ran.users()), (counts(&[("/echo?ab", 2)]), [2, 2, 0, 0]));
    assert_eq!(server.requests()[0].header("x"), Some("process"));
    let ran = load().run().ended_with(2);
    let parts = ["`HOW_MANY` is not set", "`FILE_ONLY` is not set", "script.yaml:4:", "script.yaml:7:"];
    let missing = parts.iter().find(|part| !ran.finished.stderr.contains(**part));
    assert_eq!((missing, server.requests().len()), (None, 2), "{}", ran.finished.stderr);
}
