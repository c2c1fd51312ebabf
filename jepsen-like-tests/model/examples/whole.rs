//! A larger exploration of whole registries than the tests take:
//! `cargo run --release -p carnet-model --example whole -- REGISTRIES EPOCH_MAX LIES [late]`.

use std::error::Error;
use std::io::{self, Write};
use std::time::Instant;

use carnet_kit::world::Fault;
use carnet_model::Explored;
use carnet_model::countries::{Bounds, Mail, holds};

fn main() -> Result<(), Box<dyn Error>> {
    let mut given = std::env::args().skip(1);
    let mut number = |what: &str| given.next().ok_or_else(|| format!("{what} is missing"));
    let bounds = Bounds {
        registries: number("REGISTRIES")?.parse()?,
        epoch_max: number("EPOCH_MAX")?.parse()?,
        clocks: false,
        lies_max: number("LIES")?.parse()?,
        mail: match number("late") {
            Ok(_) => Mail::Late,
            Err(_) => Mail::AsWritten,
        },
        planted: Fault::Nothing,
    };
    let began = Instant::now();
    let (Explored { states, depth }, applied) = holds(bounds);
    let took = began.elapsed().as_secs();
    writeln!(
        io::stdout(),
        "{bounds:?}: {states} states, {depth} steps deep, {applied} steps of registries applied, all properties hold, {took} s"
    )?;
    Ok(())
}
