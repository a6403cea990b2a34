//! A reader of collapsed stacks, to compare what pyperf measured with what the program is known to do.
//!
//! One line is one stack, from the root to the leaf, and its number of samples: `main (app.py:1);view (app.py:7) 12`. Written
//! without a look at pyperf's own writer, so that the two check each other.

/// All stacks of one file.
#[derive(Debug)]
pub struct Collapsed {
    pub stacks: Vec<(Vec<String>, u64)>,
}

impl Collapsed {
    /// Reads the whole text; panics at the first line that is not a stack.
    pub fn parse(text: &str) -> Collapsed {
        let stacks = text.lines().map(|line| parse_line(line).unwrap_or_else(|| panic!("not a stack: {line:?}")));
        Collapsed { stacks: stacks.collect() }
    }

    /// How many samples there are.
    pub fn total(&self) -> u64 {
        self.stacks.iter().map(|(_, samples)| samples).sum()
    }

    /// The share of samples, 0 to 1, that have the function anywhere on their stack.
    pub fn share_of(&self, function: &str) -> f64 {
        self.share(|stack| stack.iter().any(|frame| is_frame_of(frame, function)))
    }

    /// The share of samples, 0 to 1, whose innermost frame is of the function.
    pub fn leaf_share(&self, function: &str) -> f64 {
        self.share(|stack| stack.last().is_some_and(|frame| is_frame_of(frame, function)))
    }

    fn share(&self, belongs: impl Fn(&[String]) -> bool) -> f64 {
        let part: u64 = self.stacks.iter().filter(|(stack, _)| belongs(stack)).map(|(_, samples)| samples).sum();
        assert!(self.total() > 0, "there are no samples to take a share of");
        let [part, total] =
            [part, self.total()].map(|samples| f64::from(u32::try_from(samples).expect("a test is short")));
        part / total
    }
}

fn parse_line(line: &str) -> Option<(Vec<String>, u64)> {
    let (stack, samples) = line.rsplit_once(' ')?;
    Some((stack.split(';').map(str::to_owned).collect(), samples.parse().ok()?))
}

/// From Python 3.11 on names are qualified, as in `Service.handle (app.py:7)`: only the last part counts.
fn is_frame_of(frame: &str, function: &str) -> bool {
    let name = frame.split_once(" (").map_or(frame, |(name, _)| name);
    name.rsplit('.').next() == Some(function)
}
