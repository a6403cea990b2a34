//! A load as it runs: on a terminal a small block that is drawn again, elsewhere a line every ten seconds. What scripts log goes to
//! standard output as it comes.

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use super::live::width;
use super::{Ui, Verbosity};
use crate::load::{Load, Stops};
use crate::recording::traffic::Window;
use crate::report::load::progress;

/// Between two looks.
const TURN: Duration = Duration::from_millis(200);
/// Between two lines where there is no terminal.
const LINE_TURN: Duration = Duration::from_secs(10);

/// A further line below the block.
type More<'a> = &'a dyn Fn() -> Option<String>;

/// Shows how a load is doing until it is over.
pub(super) fn follow(ui: Ui, load: &Load, stops: &Stops, tell: &dyn Fn(&Window) -> String, more: More<'_>) -> usize {
    let say = ui.verbosity == Verbosity::Normal;
    let mut windows = 0;
    let mut block = Block { drawn: 0, live: say && stderr().is_terminal() };
    let mut told = false;
    let mut since_line = Duration::ZERO;
    loop {
        let over = load.wait(TURN);
        let progress = load.progress();
        let mut printed: String = load.logged().map(|line| line + "\n").collect();
        for window in load.windows_from(windows) {
            windows += 1;
            printed.push_str(&tell(&window));
        }
        if !printed.is_empty() {
            block.wipe();
            ui.result(&printed);
        }
        if over {
            block.wipe();
            return windows;
        }
        if say && !told && stops.arrivals.reason().is_some() {
            told = true;
            block.wipe();
            ui.remark("no more users arrive; those that are active may finish (Ctrl+C again: report now)");
        }
        since_line += TURN;
        if block.live {
            let mut lines = progress::block(&progress, width());
            lines.extend(more().map(|line| line.chars().take(width()).collect()));
            block.draw(&lines);
        } else if say && since_line >= LINE_TURN {
            since_line = Duration::ZERO;
            ui.remark(&progress::line(&progress));
        }
    }
}

/// Lines at the bottom of a terminal.
struct Block {
    drawn: usize,
    live: bool,
}

impl Block {
    fn draw(&mut self, lines: &[String]) {
        self.wipe();
        let mut err = stderr().lock();
        for line in lines {
            let _ = writeln!(err, "{line}\x1b[K");
        }
        let _ = err.flush();
        self.drawn = lines.len();
    }

    fn wipe(&mut self) {
        let mut err = stderr().lock();
        for _ in 0..self.drawn {
            let _ = write!(err, "\x1b[A\x1b[2K");
        }
        let _ = err.flush();
        self.drawn = 0;
    }
}
