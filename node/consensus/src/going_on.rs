//! Lets a machine that stands still try its record again, until it goes on or the node stops.

use std::io;
use std::time::Duration;

use tokio::sync::watch;

use crate::error::Fatal;
use crate::gate::stop;
use crate::state_machine::Machine;
use crate::status::{Role, Standing};

/// Tries each `pause` while the machine stands still. What cannot be repaired by waiting is told to `fatal`.
pub(crate) async fn try_again(
    machine: Machine,
    pause: Duration,
    mut standing: watch::Receiver<Standing>,
    fatal: watch::Sender<Option<Fatal>>,
) {
    let trying = async {
        let mut stands = machine.stands();
        loop {
            // The machine holds the sender.
            let _ = stands.wait_for(Option::is_some).await;
            tokio::time::sleep(pause).await;
            if let Err(error) = machine.go_on().await {
                return error;
            }
        }
    };
    tokio::select! {
        error = trying => {
            stop(&fatal, Fatal::Core(with_causes(&error)));
        }
        // An error means that nobody publishes the standing any more, which is a stop as well.
        _ = standing.wait_for(|now| now.role == Role::Stopped) => {}
    }
}

fn with_causes(error: &io::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
