//! What an OpenTelemetry collector takes: OTLP's `ExportMetricsServiceRequest`, as JSON or as protocol buffers.
//!
//! Counters become monotonic sums of one window (delta temporality), rates and the fields of distributions gauges, all of them
//! doubles, under Artillery's names. Artillery adds the times of a window as attributes, of which a collector makes a new series
//! every ten seconds; here they stand where OTLP has a place for them. Pure. Field names and numbers are those of
//! opentelemetry-proto 1, `metrics/v1/metrics.proto` and the files that it imports.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::protobuf::Message;
use super::{Kind, Point, Published};
use crate::scenario::publish::{Encoding, Otlp};

/// `AGGREGATION_TEMPORALITY_DELTA`.
const DELTA: u64 = 1;

/// What the body of a request is.
#[must_use]
pub const fn content_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Json => "application/json",
        Encoding::Protobuf => "application/x-protobuf",
    }
}

/// A window as the body of a request; `None` when nothing in it is selected.
#[must_use]
pub fn body(published: &Published, settings: &Otlp) -> Option<Vec<u8>> {
    let points = published.points(&settings.selection);
    if points.is_empty() {
        return None;
    }
    Some(match settings.encoding {
        Encoding::Json => json(&points, published, settings).to_string().into_bytes(),
        Encoding::Protobuf => protobuf(&points, published, settings).into_bytes(),
    })
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn json(points: &[Point], published: &Published, settings: &Otlp) -> Value {
    // 64-bit numbers are texts in the JSON of protocol buffers.
    let (began, ended) = (nanos(published.began).to_string(), nanos(published.ended).to_string());
    let pair = |(key, value): &(String, Value)| json!({"key": key, "value": json_value(value)});
    let attributes: Vec<Value> = settings.attributes.iter().map(pair).collect();
    let metric = |point: &Point| {
        let data = json!([{
            "attributes": attributes,
            "startTimeUnixNano": began,
            "timeUnixNano": ended,
            "asDouble": point.value,
        }]);
        match point.kind {
            Kind::Counter => json!({
                "name": point.name,
                "sum": {"dataPoints": data, "aggregationTemporality": DELTA, "isMonotonic": true},
            }),
            Kind::Gauge => json!({"name": point.name, "gauge": {"dataPoints": data}}),
        }
    };
    json!({"resourceMetrics": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": settings.service}}]},
        "scopeMetrics": [{
            "scope": {"name": settings.meter},
            "metrics": points.iter().map(metric).collect::<Vec<Value>>(),
        }],
    }]})
}

fn json_value(value: &Value) -> Value {
    match value {
        Value::String(text) => json!({"stringValue": text}),
        Value::Bool(truth) => json!({"boolValue": truth}),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => json!({"intValue": whole.to_string()}),
            None => json!({"doubleValue": number}),
        },
        other => json!({"stringValue": other.to_string()}),
    }
}

fn protobuf(points: &[Point], published: &Published, settings: &Otlp) -> Message {
    let (began, ended) = (nanos(published.began), nanos(published.ended));
    let metric = |point: &Point| {
        let data = Message::default().fixed(2, began).fixed(3, ended).double(4, point.value);
        let data = data.messages(7, settings.attributes.iter().map(|(key, value)| attribute(key, value)));
        let numbers = Message::default().message(1, &data);
        let named = Message::default().text(1, &point.name);
        match point.kind {
            Kind::Counter => named.message(7, &numbers.number(2, DELTA).number(3, 1)),
            Kind::Gauge => named.message(5, &numbers),
        }
    };
    let service = attribute("service.name", &Value::String(settings.service.clone()));
    let scope = Message::default().text(1, &settings.meter);
    let scoped = Message::default().message(1, &scope).messages(2, points.iter().map(metric));
    let resource = Message::default().message(1, &service);
    Message::default().message(1, &Message::default().message(1, &resource).message(2, &scoped))
}

/// A `KeyValue` with its `AnyValue`.
fn attribute(key: &str, value: &Value) -> Message {
    let any = Message::default();
    let any = match value {
        Value::String(text) => any.text(1, text),
        Value::Bool(truth) => any.number(2, u64::from(*truth)),
        Value::Number(number) => match number.as_i64() {
            // Two's complement, as an int64 is written.
            Some(whole) => any.number(3, u64::from_le_bytes(whole.to_le_bytes())),
            None => any.double(4, number.as_f64().unwrap_or_default()),
        },
        other => any.text(1, &other.to_string()),
    };
    Message::default().text(1, key).message(2, &any)
}

#[cfg(test)]
mod tests {
    use super::super::protobuf::tests::{Field, fields};
    use super::super::tests::sample;
    use super::*;
    use crate::scenario::publish::{Selection, Unshown};

    fn settings(encoding: Encoding) -> Otlp {
        let name = |text: &str| text.to_owned();
        Otlp {
            endpoint: Unshown(url::Url::parse("http://localhost:4318/v1/metrics").expect("a URL")),
            encoding,
            headers: Unshown(vec![]),
            attributes: vec![(name("team"), json!("a")), (name("shard"), json!(-2))],
            service: name("shop"),
            meter: name("Artillery.io_metrics"),
            selection: Selection { except: vec![name("errors.Odd: a|b\n")], ..Selection::default() },
        }
    }

    #[test]
    fn json_is_as_the_collector_reads_it() {
        let body = body(&sample(), &settings(Encoding::Json)).expect("metrics");
        let attributes =
            r#""attributes":[{"key":"team","value":{"stringValue":"a"}},{"key":"shard","value":{"intValue":"-2"}}]"#;
        let times = r#""startTimeUnixNano":"1700000000000000000","timeUnixNano":"1700000010000000000""#;
        let gauge = |name: &str, value: &str| {
            format!(r#"{{"name":"{name}","gauge":{{"dataPoints":[{{{attributes},{times},"asDouble":{value}}}]}}}}"#)
        };
        let expected = [
            r#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"#,
            r#""scopeMetrics":[{"scope":{"name":"Artillery.io_metrics"},"metrics":["#,
            r#"{"name":"http.codes.200","sum":{"dataPoints":[{"#,
            attributes,
            ",",
            times,
            r#","asDouble":12.0}],"aggregationTemporality":1,"isMonotonic":true}},"#,
            &gauge("http.response_time.min", "1.0"),
            ",",
            &gauge("http.response_time.p95", "30.1"),
            ",",
            &gauge("http.request_rate", "3.0"),
            "]}]}]}",
        ];
        assert_eq!(String::from_utf8(body).expect("a text"), expected.concat());
    }

    /// The first field of that number, which is a message or a text.
    fn inside(bytes: &[u8], number: u64) -> Vec<u8> {
        let found = fields(bytes).into_iter().find(|(field, _)| *field == number);
        let Some((_, Field::Bytes(bytes))) = found else { panic!("no bytes in field {number}") };
        bytes
    }

    #[test]
    fn protocol_buffers_say_the_same() {
        let body = body(&sample(), &settings(Encoding::Protobuf)).expect("metrics");
        let whole = inside(&body, 1);
        let service = inside(&inside(&whole, 1), 1);
        assert_eq!(
            (inside(&service, 1), inside(&inside(&service, 2), 1)),
            (b"service.name".to_vec(), b"shop".to_vec())
        );
        let scoped = fields(&inside(&whole, 2));
        let metrics: Vec<Vec<u8>> = scoped
            .iter()
            .filter_map(|(number, field)| match field {
                Field::Bytes(bytes) if *number == 2 => Some(bytes.clone()),
                _ => None,
            })
            .collect();
        let names: Vec<_> =
            metrics.iter().map(|metric| String::from_utf8(inside(metric, 1)).expect("a text")).collect();
        let expected = ["http.codes.200", "http.response_time.min", "http.response_time.p95", "http.request_rate"];
        assert_eq!(names, expected);
        let sum = inside(&metrics[0], 7);
        assert_eq!(fields(&sum)[1..], [(2, Field::Number(1)), (3, Field::Number(1))]);
        let point = fields(&inside(&sum, 1));
        let expected = [
            (2, Field::Fixed(1_700_000_000_000_000_000)),
            (3, Field::Fixed(1_700_000_010_000_000_000)),
            (4, Field::Fixed(12_f64.to_bits())),
        ];
        assert_eq!(point[..3], expected);
        let Field::Bytes(shard) = &point[4].1 else { panic!("{point:?}") };
        assert_eq!(fields(&inside(shard, 2)), [(3, Field::Number(u64::MAX - 1))]);
        assert_eq!(inside(&inside(&inside(&metrics[2], 5), 1), 7), b"\x0a\x04team\x12\x03\x0a\x01a");
    }

    #[test]
    fn nothing_selected_is_no_request() {
        let none = Selection { only: vec!["no such".into()], ..Selection::default() };
        assert_eq!(body(&sample(), &Otlp { selection: none, ..settings(Encoding::Json) }), None);
    }
}
