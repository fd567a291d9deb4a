//! `kiln cache serve`, as its clients meet it: real sockets, the built program, other people's clients.

mod client;
mod limits;
mod nix;
mod people;
mod protocols;
mod reading;
mod served;
mod sharing;
mod uploading;

use client::Client;
use served::{Entry, Served, entry};
