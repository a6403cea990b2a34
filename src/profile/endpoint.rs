//! Samples of some endpoints: those taken while a request to one of them was in flight.
//!
//! By time, so not exact: while one worker serves the endpoint another may serve something else, and a request waits before
//! it is served. How often other endpoints were in flight too is counted, for the report to say.

use super::presence::{Presence, PresenceCursor};
use super::{Joined, Selection, join};
use crate::recording::traffic::EndpointLabel;
use crate::recording::{Recording, SampleLog};

/// What endpoints are asked for: a part of their name, or with `*` a pattern of the whole of it. Case does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointPattern {
    letters: Vec<char>,
}

impl EndpointPattern {
    /// As it was typed.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let letters: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
        if letters.contains(&'*') {
            return Self { letters };
        }
        // A part of a name is a pattern with anything around it.
        Self { letters: ['*'].into_iter().chain(letters).chain(['*']).collect() }
    }

    /// Whether an endpoint is meant: by what reports call it, or by its method and address.
    #[must_use]
    pub fn takes(&self, endpoint: &EndpointLabel) -> bool {
        self.fits(&endpoint.label()) || self.fits(&format!("{} {}", endpoint.method, endpoint.path))
    }

    /// Letter by letter; after a mismatch the last `*` takes one letter more, so that no pattern takes longer than the
    /// product of both lengths.
    fn fits(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
        let (mut at, mut in_text) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while in_text < text.len() {
            match self.letters.get(at) {
                Some('*') => {
                    star = Some((at, in_text));
                    at += 1;
                }
                Some(letter) if *letter == text[in_text] => {
                    at += 1;
                    in_text += 1;
                }
                _ => {
                    let Some((place, taken)) = star else { return false };
                    (at, in_text) = (place + 1, taken + 1);
                    star = Some((place, in_text));
                }
            }
        }
        self.letters.iter().skip(at).all(|letter| *letter == '*')
    }
}

/// The samples that were taken while somebody of the first group of a presence was there.
#[must_use]
pub fn narrowed(samples: &SampleLog, in_flight: &Presence) -> SampleLog {
    let mut cursor = PresenceCursor::new(in_flight);
    let mut kept = SampleLog::default();
    for sample in samples.iter().filter(|sample| cursor.at(sample.moment).is_wanted()) {
        // No more than there were: it is never full.
        kept.push(sample);
    }
    kept
}

/// As how much those samples count, and how much of that is of those during which another group was there too.
#[must_use]
pub fn shared(recording: &Recording, in_flight: &Presence, selection: &Selection) -> (u64, u64) {
    let mut cursor = PresenceCursor::new(in_flight);
    let (mut all, mut others) = (0, 0_u64);
    for Joined { sample, phase, process } in join(recording) {
        let process = process.and_then(|number| recording.process(number));
        let counts = process.is_some_and(|process| selection.takes_process(process)) && selection.takes_phase(phase);
        let present = cursor.at(sample.moment);
        let weight = if counts && present.is_wanted() { selection.weight(&sample) } else { 0 };
        all = weight.saturating_add(all);
        others = if present.has_others() { weight.saturating_add(others) } else { others };
    }
    (all, others)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::demand::wanted_in_flight;
    use super::super::synthetic::{flights, phase, recording, sample};
    use super::*;
    use crate::recording::State;

    fn fits(pattern: &str, text: &str) -> bool {
        EndpointPattern::new(pattern).fits(text)
    }

    #[test]
    fn a_pattern_is_a_part_or_has_stars() {
        for (pattern, fit) in [
            ("citizens", true),
            ("CITIZENS/", true),
            ("get /api", true),
            ("POST", false),
            ("GET *", true),
            ("*/citizens/", true),
            ("/citizens*", false),
            ("get */ci*s/*", true),
            ("*", true),
            ("**zens**", true),
            ("", true),
            ("GET*api", false),
        ] {
            assert_eq!(fits(pattern, "GET /api/v1/Citizens/"), fit, "{pattern}");
        }
    }

    #[test]
    fn an_endpoint_with_a_name_is_found_by_name_and_address() {
        let mut endpoint = flights(&["/api/login"], &[]).endpoints.remove(0);
        endpoint.name = Some("Sign in".into());
        let takes = ["sign", "GET /api/*", "GET*"].map(|pattern| EndpointPattern::new(pattern).takes(&endpoint));
        assert_eq!((takes, EndpointPattern::new("out").takes(&endpoint)), ([true; 3], false));
    }

    #[test]
    fn samples_are_kept_while_a_request_is_in_flight() {
        let mut recording = recording(1);
        phase(&mut recording, "a", "1 user/s", 100);
        for millis in [0, 10, 20, 30, 40, 50] {
            sample(&mut recording, 1, millis, State::Running, &["view"]);
        }
        sample(&mut recording, 1, 30, State::Idle, &["accept"]);
        sample(&mut recording, 0, 30, State::Running, &["arbiter"]);
        // The sample at 10 is the request's, and that at 40 is not any more.
        let load = flights(&["/a", "/b"], &[(0, 10, 40), (1, 25, 60)]);
        let presence = wanted_in_flight(&load, &[true, false]);
        let samples = narrowed(&recording.samples, &presence);
        let kept: Vec<u64> = samples.iter().map(|sample| sample.moment.as_nanos() / 1_000_000).collect();
        assert_eq!(kept, [10, 20, 30, 30, 30]);
        assert_eq!(shared(&recording, &presence, &Selection::default()), (3, 1));
        let elsewhere = Selection { phase: Some(1), ..Selection::default() };
        assert_eq!(shared(&recording, &presence, &elsewhere), (0, 0));
    }

    proptest! {
        #[test]
        fn a_part_of_a_text_is_found(text in "[a-cA-C/]{0,12}", from in 0_usize..12, length in 0_usize..6) {
            let part: String = text.chars().skip(from).take(length).collect();
            prop_assert!(fits(&part, &text));
            let starred = format!("*{part}*");
            prop_assert!(fits(&starred, &text));
        }

        #[test]
        fn a_pattern_made_of_a_text_fits_it(text in "[ab/ ]{0,12}", stars in proptest::collection::vec((0_usize..12, 0_usize..3), 0..4)) {
            let mut letters: Vec<String> = text.chars().map(String::from).collect();
            for (from, length) in stars {
                let from = from.min(letters.len());
                let to = (from + length).min(letters.len());
                letters.splice(from..to, ["*".to_owned()]);
            }
            prop_assert!(fits(&letters.concat(), &text));
        }
    }
}
