//! moto, which speaks the APIs of AWS, and the SDK of AWS for Python that it brings.

use readiness_lab::Process;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::common::{repository, run};
use crate::slack::own_host;

/// One is enough of it on an address of its own.
const PORT: u16 = 5005;

/// A server of its own for one test, empty at first.
pub(crate) struct Moto {
    _process: Process,
    pub(crate) endpoint: String,
}

impl Moto {
    /// Starts one and waits until it listens.
    pub(crate) fn start() -> Self {
        let host = own_host();
        let process = Process::start(Command::new(repository("target/peers/bin/moto_server")).args(["-H", &host, "-p", &PORT.to_string()]));
        for attempt in 0.. {
            if TcpStream::connect((host.as_str(), PORT)).is_ok() {
                break;
            }
            assert!(attempt < 600, "moto does not start");
            std::thread::sleep(Duration::from_millis(100));
        }
        Self { _process: process, endpoint: format!("http://{host}:{PORT}") }
    }

    /// Runs a script with the SDK and returns what it prints.
    pub(crate) fn boto(&self, script: &str) -> String {
        let prelude = "import boto3, json\ndef client(name): return boto3.client(name, region_name='us-east-2')\n";
        let mut command = Command::new(repository("target/peers/bin/python"));
        command.args(["-c", &format!("{prelude}{script}")]);
        let (code, said, errors) = run(with_aws(&mut command, &self.endpoint));
        assert_eq!(code, 0, "{errors}");
        said.trim().to_owned()
    }
}

/// Lets a program take `endpoint` for AWS, with a key that moto believes.
pub(crate) fn with_aws<'a>(command: &'a mut Command, endpoint: &str) -> &'a mut Command {
    command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_ACCESS_KEY_ID", "AKIDTEST").env("AWS_SECRET_ACCESS_KEY", "not-a-real-one")
}
