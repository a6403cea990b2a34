//! A team's own script, as it was written over the years for three generations of Artillery: three scenarios that share steps
//! through aliases, a processor that logs in at an identity provider, a cap that lost its quotes, sockets with a cookie. It runs to
//! its end unchanged, and each thing that is read in another way is said once.

use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::Gunicorn;
use crate::support::load::Load;
use crate::support::python::Python;
use crate::support::temp_dir::TempDir;

const SCRIPT: &str = r#"config:
  target: "{{ $processEnvironment.TARGET }}"
  processor: "./functions.js"
  http:
    maxSockets: 3
  socketio:
    extraHeaders:
      Cookie: "oidc-jwt={{ $processEnvironment.SERVICE_API_KEY }}"
  variables:
  phases:
    - name: Warm up
      duration: 1
      arrivalRate: 2
    - name: Ramp up
      duration: 2
      arrivalRate: 2
      rampTo: 6
      maxVusers: {{ $processEnvironment.MAX_VIRTUAL_USERS }}
    - name: Sustained max load
      duration: 1
      arrivalRate: 6
      maxVusers: {{ $processEnvironment.MAX_VIRTUAL_USERS }}
csrLoadData: &csrLoadData
  - get: { url: "/api/v1/citizens/" }
  - get: { url: "/api/v1/categories/" }
  - get: { url: "/api/v1/services/" }
scenarios:
  - name: CSR – Login, load data, idle (HTTP)
    weight: 75
    beforeRequest: "setAuthHeader"
    flow:
      - *csrLoadData
      - think: 1
  - name: CSR – Login, create and delete appointments (HTTP)
    weight: 75
    beforeRequest: "setAuthHeader"
    flow:
      - *csrLoadData
      - post:
          url: "/api/v1/appointments/draft"
          json: { comments: "load test", service_id: 1 }
          capture: { json: "$.appointment.draft_id", as: "draftappointment_Id" }
          # Do not mind if the id cannot be captured and the next request is a 404.
          strict: false
      - log: "draft {{ draftappointment_Id }}"
      - delete: { url: "/api/v1/appointments/{{ draftappointment_Id }}/" }
  - name: CSR – Sockets
    weight: 75
    engine: socketio
    beforeRequest: "setAuthHeader"
    flow:
      - emit: { channel: "connecting", data: "ping" }
      - emit: { channel: "joinRoom", data: "" }
      - think: 1
"#;

const FUNCTIONS: &str = r"
const fetch = require('node-fetch');

KEYCLOAK_URI = process.env.KEYCLOAK_URI;
const cache = {};

async function getToken() {
  if (!cache.login) {
    const body = new URLSearchParams({ grant_type: 'password', username: 'csr', password: process.env.CSR_PASSWORD });
    cache.login = fetch(`${KEYCLOAK_URI}/auth/token`, { method: 'POST', body }).then((response) => response.json());
  }
  return (await cache.login).access_token;
}

async function setAuthHeader(requestParams, context, ee, next) {
  requestParams.headers.Authorization = `Bearer ${await getToken()}`;
  requestParams.headers.Cookie = 'jwt=x';
  next();
}

module.exports = { setAuthHeader };

if (require.main === module) {
  getToken().then(console.log);
}
";

fn server(packages: Packages) -> Gunicorn {
    Gunicorn::of(&Environment::new(&Python::default(), packages))
        .application("booking_api:application")
        .arguments(["--worker-class", "eventlet", "--env", "SOCKETIO_MODE=eventlet"])
        .start()
}

/// The team's script, with what its environment says.
fn team(gunicorn: &Gunicorn) -> Load {
    let target = format!("http://{}", gunicorn.address());
    Load::script(SCRIPT)
        .file("functions.js", FUNCTIONS)
        .env("TARGET", &target)
        .env("KEYCLOAK_URI", &target)
        .env("SERVICE_API_KEY", "a-key-of-the-service")
        .env("CSR_PASSWORD", "a-password-of-the-csr")
        .env("MAX_VIRTUAL_USERS", "200")
}

#[test]
fn a_script_of_three_scenarios_runs_unchanged() {
    let gunicorn = server(Packages::SocketIo5);
    let ran = team(&gunicorn).arguments(["--seed", "7", "-k"]).run().succeeded();
    let [created, completed, failed, skipped] = ran.users();
    assert_eq!((created, completed, failed, skipped), (16, 16, 0, 0), "{}", ran.finished.stdout);

    let answered = ["200", "201", "404"].map(|code| ran.counter(&format!("http.codes.{code}")));
    gunicorn.log().wait_for_lines("request: ", usize::try_from(answered.iter().sum::<u64>() + 1).expect("a few"));
    let log = gunicorn.log().text();
    // Not line by line: eventlet writes some without an end.
    let count = |words: &str| log.matches(words).count() as u64;
    assert_eq!(count("request: POST /auth/token"), 1, "one login for all");
    assert!(count("request: GET") > 0 && count("joinRoom:") > 0);
    assert_eq!(ran.counter("http.codes.200"), count("request: GET"));
    assert_eq!(ran.counter("http.codes.201"), count("request: POST /api/v1/appointments/draft"));
    assert_eq!(ran.counter("http.codes.404"), count("request: DELETE /api/v1/appointments/undefined/"));
    assert_eq!(ran.counter("http.codes.401"), 0, "the header reaches every request");
    // `connecting` is a name like others to this generation, and nobody listens to it.
    assert_eq!(ran.counter("socketio.emit"), 2 * count("joinRoom:"));
    assert_eq!(count("connect: oidc-jwt=a-key-of-the-service"), count("joinRoom:"));
    for secret in ["a-key-of-the-service", "a-password-of-the-csr", "a-token-of-the-provider"] {
        assert!(!ran.everything().contains(secret), "{secret} is no secret any more");
    }
    for (words, times) in [
        ("without quotes is read as a template", 1),
        ("a list inside a flow stands for the steps in it", 1),
        ("`strict` beside `capture`", 1),
        ("each user may have 3 sockets", 1),
        ("`beforeRequest` has no effect", 1),
        ("no `http.timeout`: an answer may take 120 s", 1),
    ] {
        assert_eq!(ran.finished.stderr.matches(words).count(), times, "{words}\n{}", ran.finished.stderr);
    }
}

#[test]
fn the_same_script_says_what_the_server_did() {
    let gunicorn = server(Packages::SocketIo5);
    let target = format!("http://{}", gunicorn.address());
    let folder = TempDir::new();
    let out = folder.join("results");
    let ran = Load::script(SCRIPT)
        .file("functions.js", FUNCTIONS)
        .env("TARGET", &target)
        .env("KEYCLOAK_URI", &target)
        .env("SERVICE_API_KEY", "a-key-of-the-service")
        .env("CSR_PASSWORD", "a-password-of-the-csr")
        .env("MAX_VIRTUAL_USERS", "200")
        .command("run-with-load")
        .arguments(["--lead", "0", "--out", out.to_str().expect("a path of ours")])
        .run()
        .succeeded();
    assert_eq!(ran.users()[0], 16);
    ran.tells(&["EMIT joinRoom", "requests in flight", "Functions of the processor took", "  setAuthHeader: "]);
    let report = std::fs::read_to_string(out.join("report.json")).expect("it is there");
    assert!(report.contains("\"socketio.emit\"") && !report.contains("a-token-of-the-provider"));
}
