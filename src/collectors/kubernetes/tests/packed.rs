//! Lists in protobuf are the same objects as in JSON.
//!
//! The files are the answers of a kube-apiserver 1.33.4 to the same question in both forms, about objects that have
//! every field that is read; of the JSON only `managedFields` is left out.

use std::fmt::Debug;

use kube::api::ListMeta;
use serde::de::DeserializeOwned;

use crate::collectors::kubernetes::client::api::Around;
use crate::collectors::kubernetes::client::packed::Packed;
use crate::collectors::kubernetes::client::stream::{Elements, Unread};
use crate::collectors::kubernetes::kinds::events::Event;
use crate::collectors::kubernetes::kinds::node::Node;
use crate::collectors::kubernetes::kinds::pod::Pod;
use crate::collectors::kubernetes::kinds::workloads::revisions::ReplicaSet;
use crate::collectors::kubernetes::reading::objects::Object;
use crate::collectors::kubernetes::reading::protobuf::{self, Message, messages};

const LONGEST: usize = 1 << 20;

fn message<T: Object>() -> &'static Message {
    messages::of(&T::group(&()), &T::plural(&())).unwrap()
}

/// The items and what stands around them, fed in pieces of a size.
fn packed<T: DeserializeOwned>(message: &'static Message, bytes: &[u8], size: usize) -> Result<(Vec<T>, Around<ListMeta>), Unread> {
    let (mut packed, mut found) = (Packed::of(message, LONGEST), Vec::new());
    for piece in bytes.chunks(size) {
        packed.feed(piece, &mut |item| found.push(item))?;
    }
    Ok((found, packed.rest()?))
}

fn same<T: Object + Debug>(binary: &[u8], json: &[u8]) {
    let (mut elements, mut written) = (Elements::of("items"), Vec::<T>::new());
    elements.feed(json, &mut |item| written.push(item)).unwrap();
    let around: Around<ListMeta> = elements.rest().unwrap();
    assert!(!written.is_empty());
    for size in [1, 7, 1_000, binary.len()] {
        let (read, own) = packed::<T>(message::<T>(), binary, size).unwrap();
        assert_eq!(format!("{read:#?}"), format!("{written:#?}"), "by {size}");
        assert_eq!(own.metadata, around.metadata);
        assert!(own.is_of(&T::kind(&())));
    }
    // Behind the list stand two fields that are empty.
    for end in 0..binary.len() - 4 {
        assert!(packed::<T>(message::<T>(), &binary[..end], 64).is_err(), "cut off after {end}");
    }
}

#[test]
fn what_a_real_server_writes_in_both_forms_is_the_same() {
    same::<Pod>(include_bytes!("packed/pods.pb"), include_bytes!("packed/pods.json"));
    same::<Node>(include_bytes!("packed/nodes.pb"), include_bytes!("packed/nodes.json"));
    same::<Event>(include_bytes!("packed/events.pb"), include_bytes!("packed/events.json"));
    same::<ReplicaSet>(include_bytes!("packed/replicasets.pb"), include_bytes!("packed/replicasets.json"));
}

/// A field of a slim type that no table has would be missing from every object without a word; reading says so in a test.
#[test]
fn the_tables_have_every_field_that_is_read() {
    fn every<T: Object>() {
        let sample = message::<T>().sample();
        let object: T = protobuf::read(message::<T>(), &sample).unwrap();
        assert_eq!(object.meta().name.as_deref(), Some("1"));
    }
    every::<Pod>();
    every::<Node>();
    every::<Event>();
    every::<ReplicaSet>();
}

#[test]
fn what_is_no_list_of_this_form_is_malformed() {
    let whole = include_bytes!("packed/nodes.pb").as_slice();
    let read = |bytes: &[u8]| packed::<Node>(message::<Node>(), bytes, 512).map(|(found, _)| found.len());
    assert_eq!(read(whole), Ok(1));
    assert_eq!(read(b"{\"kind\":\"NodeList\"}"), Err(Unread::Malformed));
    // Another encoding, twice a list, and a list that is longer than it says.
    assert_eq!(read(&[whole, &[0x1a, 4], b"gzip"].concat()), Err(Unread::Malformed));
    assert_eq!(read(&[whole, &[0x12, 0]].concat()), Err(Unread::Malformed));
    assert_eq!(read(&[whole, &[0]].concat()), Err(Unread::Malformed));
    // An item of 3 MiB that is only announced, and a number without an end.
    let list = |inner: &[u8]| [b"k8s\0\x12\xff\xff\xff\x07".as_slice(), inner].concat();
    assert_eq!(read(&list(&[0x12, 0x80, 0x80, 0xc0, 0x01])), Err(Unread::TooLarge));
    assert_eq!(read(&list(&[0xff; 11])), Err(Unread::Malformed));
    let mut packed = Packed::of(message::<Node>(), 100);
    assert_eq!(packed.feed(&whole[..101], &mut |_: Node| {}), Err(Unread::TooLong(100)));
}

/// Whatever arrives: nothing panics, and however it is cut the same is read.
#[test]
fn fuzz_packed() {
    let seeds: [&[u8]; 3] = [include_bytes!("packed/pods.pb"), include_bytes!("packed/nodes.pb"), include_bytes!("packed/events.pb")];
    crate::fuzz::survive(&seeds, |bytes| {
        let read = |size| packed::<Pod>(message::<Pod>(), bytes, size).map(|(found, _)| format!("{found:?}")).ok();
        assert_eq!(read(bytes.len().max(1)), read(7));
    });
}
