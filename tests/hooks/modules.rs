//! Modules, packages and globals: what a processor may ask for, and what it may not.

use std::fs;

use pyperf::load::hooks::{HooksError, Runtime, What};
use serde_json::json;

use super::packages::{installed, with_modules};
use super::support::{Subject, limits, source};

in_both!(commonjs_and_globals, es_modules, real_packages, code_that_cannot_be_loaded);

fn name(runtime: Runtime, test: &str) -> String {
    format!("{test}-{runtime:?}")
}

fn commonjs_and_globals(runtime: Runtime) {
    let folder = with_modules(&name(runtime, "globals"));
    let subject = Subject::load(&source(&folder.join("modules.js"), runtime), limits()).expect("it loads");
    let failures: Vec<String> = ["modules", "process", "buffer", "crypto", "url", "util", "fs", "artillery", "later"]
        .iter()
        .filter_map(|function| {
            let failure = subject.call(function, What::Function, json!({})).outcome.err()?;
            Some(format!("{function}: {failure}"))
        })
        .collect();
    assert!(failures.is_empty(), "{failures:#?} {:?}", subject.heard());
    assert!(subject.heard().contains(&"console: logged".to_owned()), "{:?}", subject.heard());
    let later = subject.step("later", json!({}));
    assert_eq!(later, json!({"order": ["interval", "microtask", "tick", "timeout"], "imported": "local local"}));
    fs::remove_dir_all(folder).expect("ours");
}

fn es_modules(runtime: Runtime) {
    let folder = with_modules(&name(runtime, "esm"));
    let variants = [("processor.js", None), ("processor.mjs", None), ("processor.js", Some(r#"{"type": "module"}"#))];
    for (file, package) in variants {
        let file = folder.join("esm").join(file);
        if !file.exists() {
            fs::copy(folder.join("esm/processor.js"), &file).expect("ours");
        }
        if let Some(package) = package {
            fs::write(folder.join("esm/package.json"), package).expect("ours");
        }
        let subject = Subject::load(&source(&file, runtime), limits()).expect("it loads");
        let names: Vec<&str> = subject.processor.functions().collect();
        assert!(["setToken", "look", "byDefault"].iter().all(|name| names.contains(name)), "{names:?}");
        let request = json!({"headers": {}});
        let called = subject.call("setToken", What::BeforeRequest { request }, json!({}));
        assert_eq!(called.request.expect("changed")["headers"]["token"], "awaited at the top");
        let file = file.file_name().map(|name| name.to_string_lossy().into_owned());
        let expected = json!({
            "named": "local local", "common": "CommonJS", "joined": true, "file": file, "strict": true, "hash": "d41d"
        });
        assert_eq!(subject.step("look", json!({})), expected);
    }
    fs::remove_dir_all(folder).expect("ours");
}

fn real_packages(runtime: Runtime) {
    let folder = installed(&["uuid@9", "lodash@4", "jsonwebtoken@9", "qs@6", "dayjs@1"]);
    let file = folder.join(format!("packages-{runtime:?}.js"));
    let code = "
        const { v4, validate } = require('uuid');
        const _ = require('lodash');
        const qs = require('qs');
        const dayjs = require('dayjs');
        exports.all = (context, ee, next) => {
            context.vars.uuid = validate(v4());
            context.vars.lodash = _.chunk(_.sortBy([3, 1, 2]), 2);
            context.vars.get = _.get({ a: [{ b: 1 }] }, 'a[0].b');
            context.vars.template = _.template('hi <%= name %>')({ name: 'x' });
            context.vars.qs = qs.stringify({ a: { b: ['c'] } });
            context.vars.day = dayjs('2024-02-29').add(1, 'year').format('YYYY-MM-DD');
            next();
        };";
    fs::write(&file, code).expect("ours");
    let subject = Subject::load(&source(&file, runtime), limits()).unwrap_or_else(|error| panic!("{error}"));
    let expected = json!({
        "uuid": true, "lodash": [[1, 2], [3]], "get": 1, "template": "hi x", "qs": "a%5Bb%5D%5B0%5D=c", "day": "2025-02-28"
    });
    assert_eq!(subject.step("all", json!({})), expected);
}

fn load(runtime: Runtime, test: &str, code: &str) -> Result<Subject, HooksError> {
    let folder = with_modules(&name(runtime, test));
    fs::write(folder.join("own.js"), code).expect("ours");
    let outcome = Subject::load(&source(&folder.join("own.js"), runtime), limits());
    fs::remove_dir_all(folder).expect("ours");
    outcome
}

fn code_that_cannot_be_loaded(runtime: Runtime) {
    for (test, code, message) in [
        ("throws", "\n\nthrow new Error('not today');", "not today (own.js:3)"),
        ("syntax", "\nconst = 3;", "own.js:2"),
        ("missing", "\nrequire('not-there');", "not-there"),
    ] {
        let error = load(runtime, test, code).err().unwrap_or_else(|| panic!("{test} loads")).to_string();
        assert!(error.contains(message), "{test}: {error}");
    }
    let slow = load(runtime, "forever", "for (;;) {}");
    assert!(slow.is_err());
}

#[test]
fn what_needs_node_is_told_or_gets_it() {
    let code = "const http = require('http');\nexports.f = (context, ee, next) => { context.vars.ok = typeof http.request; next(); };";
    match load(Runtime::QuickJs, "needs", code).err() {
        Some(error @ HooksError::NeedsNode(_)) => {
            let text = error.to_string();
            assert!(text.contains("'http'") && text.contains("own.js:1"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    let subject = load(Runtime::Auto, "auto", code).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(subject.processor.runtime(), Runtime::Node);
    assert_eq!(subject.step("f", json!({}))["ok"], "function");
    assert!(subject.heard()[0].contains("'http'"), "{:?}", subject.heard());
    let folder = with_modules("no-node");
    fs::write(folder.join("own.js"), code).expect("ours");
    let mut without = source(&folder.join("own.js"), Runtime::Auto);
    without.environment.insert("PATH".into(), "/nowhere".into());
    let error = Subject::load(&without, limits()).err().expect("there is no node").to_string();
    assert!(error.contains("no `node` on the PATH") && error.contains("own.js:1"), "{error}");
    without.runtime = Runtime::Node;
    assert!(matches!(Subject::load(&without, limits()), Err(HooksError::Node(_))));
    // An optional one is done without.
    fs::write(folder.join("own.js"), "try { require('net'); } catch {}\nexports.f = (c, e, next) => next();")
        .expect("ours");
    let subject = Subject::load(&source(&folder.join("own.js"), Runtime::Auto), limits()).expect("it loads");
    assert_eq!(subject.processor.runtime(), Runtime::QuickJs);
    // What is only found out in a call fails that call.
    fs::write(folder.join("own.js"), "exports.f = () => { require('child_process'); }").expect("ours");
    let subject = Subject::load(&source(&folder.join("own.js"), Runtime::QuickJs), limits()).expect("it loads");
    let failure = subject.call("f", What::Function, json!({})).outcome.expect_err("there is none");
    assert_eq!((failure.code.as_str(), failure.at.as_deref()), ("ERR_NEEDS_NODE", Some("own.js:1")));
    fs::remove_dir_all(folder).expect("ours");
}

#[test]
fn files_outside_are_not_there() {
    let folder = with_modules("fence");
    let script = folder.join("script");
    fs::create_dir_all(&script).expect("ours");
    fs::write(folder.join("secret.txt"), "secret").expect("ours");
    fs::write(script.join("inside.txt"), "inside").expect("ours");
    std::os::unix::fs::symlink(folder.join("secret.txt"), script.join("link.txt")).expect("ours");
    let code = "
        const fs = require('fs');
        exports.read = (context, ee, next) => { context.vars.text = fs.readFileSync(context.vars.file, 'utf8'); next(); };
        exports.load = (context, ee, next) => { require(context.vars.file); next(); };
        exports.write = () => fs.writeFileSync('x', 'y');";
    fs::write(script.join("own.js"), code).expect("ours");
    let subject = Subject::load(&source(&script.join("own.js"), Runtime::QuickJs), limits()).expect("it loads");
    let read = |file: &str| subject.call("read", What::Function, json!({"file": script.join(file)})).outcome;
    read("inside.txt").expect("it is inside");
    for file in ["../secret.txt", "link.txt", "/etc/passwd"] {
        assert_eq!(read(file).expect_err(file).code, "EACCES", "{file}");
    }
    let load = subject.call("load", What::Function, json!({"file": "/etc/passwd"})).outcome;
    assert_eq!(load.expect_err("outside").code, "MODULE_NOT_FOUND");
    assert_eq!(subject.call("write", What::Function, json!({})).outcome.expect_err("never").code, "ERR_NEEDS_NODE");
    fs::remove_dir_all(folder).expect("ours");
}
