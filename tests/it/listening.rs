//! Where the program listens: addresses, as many as are said, and the sockets that systemd has opened.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, Command};

use crate::common::{PATIENCE, exporter, run};
use crate::slack::own_host;

#[test]
fn an_address_that_cannot_be_listened_on_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    std::fs::write(&file, "{}").unwrap();
    for flag in ["--web.listen-address", "--web.probe-address"] {
        for (address, expected) in [
            ("127.0.0.1", "must be ADDRESS:PORT, such as 127.0.0.1:9840"),
            ("9840", "must be ADDRESS:PORT, such as 127.0.0.1:9840"),
            ("127.0.0.1:http", "must be ADDRESS:PORT, such as 127.0.0.1:9840"),
            ("/run/readiness.sock", "must be ADDRESS:PORT; a socket with a path is opened by systemd, and --web.systemd-socket serves at it"),
            ("unix:///run/readiness.sock", "must be ADDRESS:PORT; a socket with a path is opened by systemd, and --web.systemd-socket serves at it"),
            ("[::1:9840", "must have an IPv6 address in brackets, such as [::1]:9840"),
            ("[::1%nowhere]:9840", "the host cannot be resolved"),
            ("::1:9840", "must have an IPv6 address in brackets, such as [::1]:9840"),
            ("does-not-exist.invalid:9840", "listen on does-not-exist.invalid:9840: the host cannot be resolved"),
            ("192.0.2.1:9840", "listen on 192.0.2.1:9840: the address is not one of this host"),
        ] {
            let (code, _, errors) = run(exporter().args(["--web.listen-address", "127.0.0.1:0", flag, address, "--config.file"]).arg(&file));
            assert!(code == 2 && errors.contains(expected), "{flag} {address}: {code} {errors}");
        }
    }
}

/// Opens sockets as systemd does, those of a path and those of an address, and starts the program with them.
const AS_SYSTEMD: &str = "import os, socket, sys
paths = [path for path in sys.argv[1].split(',') if path]
opened = [socket.create_server(('127.0.0.1', 0))]
for path in paths:
    kind = socket.SOCK_DGRAM if path.endswith('.datagram') else socket.SOCK_STREAM
    opened.append(socket.socket(socket.AF_UNIX, kind))
    opened[-1].bind(path)
    if path.endswith('.sock'):
        opened[-1].listen()
print(opened[0].getsockname()[1], flush=True)
# Out of the way first: they may have the very numbers that are wanted.
high = [os.dup2(own.fileno(), 100 + at) for at, own in enumerate(opened)]
for at, number in enumerate(high):
    os.dup2(number, 3 + at)
    os.set_inheritable(3 + at, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(opened)))
os.execv(sys.argv[2], sys.argv[2:])";

fn as_systemd(paths: &str) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", AS_SYSTEMD, paths, env!("CARGO_BIN_EXE_readiness-exporter")]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// The file of a configuration without anything to look at.
fn nothing(folder: &Path) -> std::path::PathBuf {
    let file = folder.join("readiness.yaml");
    std::fs::write(&file, "collectors: {}\n").unwrap();
    file
}

/// The next line that says where it listens: what is odd about the configuration is told first.
async fn listening(lines: &mut Lines<BufReader<ChildStderr>>) -> String {
    loop {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap_or_else(|_| panic!("it listens at no more"));
        let line = line.unwrap().unwrap_or_else(|| panic!("it has ended"));
        if line.contains("message=listening") {
            assert!(line.contains("level=info"), "{line}");
            return line.split("address=").nth(1).unwrap().split(' ').next().unwrap().trim_matches('"').to_owned();
        }
    }
}

fn lines(child: &mut Child) -> Lines<BufReader<ChildStderr>> {
    BufReader::new(child.stderr.take().unwrap()).lines()
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_of_systemd_are_served_and_logs_can_be_those_of_go_programs() {
    let folder = tempfile::tempdir().unwrap();
    let file = nothing(folder.path());
    let arguments = ["--web.systemd-socket", "--log.format", "logfmt", "--config.file"];
    let path = folder.path().join("web.sock");
    let mut child = as_systemd(path.to_str().unwrap()).args(arguments).arg(&file).spawn().unwrap();
    let port = BufReader::new(child.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
    let mut lines = lines(&mut child);
    assert_eq!([listening(&mut lines).await, listening(&mut lines).await], [format!("127.0.0.1:{port}"), path.display().to_string()]);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(client.get(format!("http://127.0.0.1:{port}/-/healthy")).send().await.unwrap().status(), 200);
    // A proxy on the same machine needs no port.
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("healthy\n"), "{answer}");
    // Without one it says so, and of one at which nobody can connect as well.
    let (code, _, errors) = run(exporter().args(arguments).arg(&file));
    assert_eq!((code, errors.contains("serve at the socket of systemd: systemd has opened none")), (2, true), "{errors}");
    for kind in ["datagram", "connection"] {
        let output = as_systemd(folder.path().join(format!("x.{kind}")).to_str().unwrap()).args(arguments).arg(&file).output().await.unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.ends_with("one of them takes no connections; ListenStream= opens one that does, with Accept=no\n"), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_that_is_said_is_listened_at() {
    let (folder, host) = (tempfile::tempdir().unwrap(), own_host());
    let addresses = [format!("{host}:9840"), format!("{host}:9850"), "[::1]:0".to_owned()];
    for serve in [true, false] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_readiness-exporter"));
        command.args(["--log.format", "logfmt", "--config.file"]).arg(nothing(folder.path())).args(serve.then_some("serve"));
        command.args(addresses.iter().flat_map(|address| ["--web.listen-address", address])).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = lines(&mut child);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for said in &addresses {
            let address = listening(&mut lines).await;
            assert!(address == *said || (said == "[::1]:0" && address.starts_with("[::1]:")), "{address}");
            assert_eq!(client.get(format!("http://{address}/-/healthy")).send().await.unwrap().status(), 200, "{address}");
        }
        child.kill().await.unwrap();
    }
    // Of several the one that cannot be listened at is named.
    let _taken = std::net::TcpListener::bind(&addresses[1]).unwrap();
    let (code, _, errors) =
        run(exporter().args(addresses.iter().flat_map(|address| ["--web.listen-address", address])).arg("--config.file").arg(nothing(folder.path())));
    assert!(code == 2 && errors.contains(&format!("listen on {}: ", addresses[1])), "{errors}");
}
