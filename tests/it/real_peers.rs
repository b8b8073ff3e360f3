//! The binary against real nginx and a real name server, compared with what `openssl s_client` and
//! `dig` say about them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use readiness_lab::{Authority, Leaf, Process};

use crate::common::{exporter, run};
use crate::slack::own_host;

const DNS: u16 = 5300;
const WEB: u16 = 8443;

/// What the name server serves; every address in it is replaced by the web server's.
const ZONE: &str = "$ORIGIN example.test.
$TTL 60
@ SOA ns1 hostmaster 1 3600 600 86400 60
@ NS ns1
ns1 A 127.0.0.1
www A 127.0.0.1
multi A 127.0.0.1
multi A 127.0.0.2
alias CNAME www
*.apps A 127.0.0.2
dangling CNAME nothere
";

fn name_server(folder: &Path, host: &str) -> Process {
    std::fs::write(folder.join("example.test.zone"), ZONE.replace("127.0.0.1", host)).unwrap();
    let configuration = format!(
        "server:\n  rundir: \"{0}\"\n  listen: [{host}@{DNS}]\nlog:\n  - target: stderr\n    any: warning\ndatabase:\n  storage: \"{0}/db\"\nzone:\n  - domain: example.test\n    storage: \"{0}\"\n    file: example.test.zone\n  - domain: broken.test\n    storage: \"{0}\"\n    file: no-such.zone\n",
        folder.display()
    );
    std::fs::write(folder.join("knot.conf"), configuration).unwrap();
    Process::start(Command::new("/usr/sbin/knotd").arg("-c").arg(folder.join("knot.conf")))
}

fn web_server(folder: &Path, host: &str, authority: &Authority) -> Process {
    let leaves = [
        ("good", Leaf::good(&["www.example.test"])),
        ("expired", Leaf::good(&["www.example.test"]).ends_in(-86_400)),
        ("near", Leaf::good(&["www.example.test"]).ends_in(3 * 86_400)),
        ("wrong", Leaf::good(&["other.example.test"])),
    ];
    let mut servers = String::new();
    for (offset, (name, leaf)) in leaves.iter().enumerate() {
        let (certificate, key) = authority.issue_pem(leaf).unwrap();
        std::fs::write(folder.join(format!("{name}.crt")), certificate).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key).unwrap();
        servers += &format!(
            "server {{ listen {host}:{0} ssl; ssl_certificate {1}/{name}.crt; ssl_certificate_key {1}/{name}.key; ssl_protocols TLSv1.2 TLSv1.3;\n location /healthz {{ default_type text/plain; return 200 OK; }} location / {{ return 503; }} }}\n",
            usize::from(WEB) + offset,
            folder.display()
        );
    }
    let configuration = format!(
        "daemon off; pid {0}/nginx.pid; error_log stderr; events {{}}\nhttp {{ access_log off; client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n{servers}}}\n",
        folder.display()
    );
    std::fs::write(folder.join("nginx.conf"), configuration).unwrap();
    Process::start(Command::new("/usr/sbin/nginx").arg("-c").arg(folder.join("nginx.conf")).arg("-e").arg(folder.join("error.log")))
}

fn wait_for(host: &str, port: u16) {
    for _ in 0..200 {
        if std::net::TcpStream::connect((host, port)).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("nothing listens on {host}:{port}");
}

/// Lines of a check in a report.
fn lines<'a>(report: &'a serde_json::Value, check: &str) -> &'a Vec<serde_json::Value> {
    let sections = report["judgements"][0]["sections"].as_array().unwrap().iter();
    let mut checks = sections.flat_map(|section| section["checks"].as_array().unwrap());
    checks.find(|found| found["name"] == check).unwrap()["lines"].as_array().unwrap()
}

fn line<'a>(report: &'a serde_json::Value, check: &str, target: &str) -> &'a serde_json::Value {
    lines(report, check).iter().find(|line| line["labels"]["target"] == target).unwrap_or_else(|| panic!("{check} of {target}"))
}

/// What openssl says about a server: verify code, and the end of the leaf.
fn openssl(host: &str, port: u16, folder: &Path) -> (String, String) {
    let shell = format!(
        "openssl s_client -connect {host}:{port} -servername www.example.test -verify_hostname www.example.test -CAfile {}/ca.pem </dev/null 2>/dev/null",
        folder.display()
    );
    let (_, out, _) = run(Command::new("sh").args(["-c", &shell]));
    let code = out.lines().find_map(|line| line.trim().strip_prefix("Verify return code: ")).unwrap_or_default().to_owned();
    let (_, end, _) = run(Command::new("sh").args(["-c", &format!("{shell} | openssl x509 -noout -enddate")]));
    (code, end.trim().trim_start_matches("notAfter=").to_owned())
}

fn dig(host: &str, name: &str) -> (String, Vec<String>) {
    let (_, out, _) = run(Command::new("dig").args([&format!("@{host}"), "-p", &DNS.to_string(), name, "A", "+noedns", "+time=2", "+tries=1"]));
    let status = out.split("status: ").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or_default().to_owned();
    let (_, short, _) = run(Command::new("dig").args([&format!("@{host}"), "-p", &DNS.to_string(), name, "A", "+short"]));
    (status, short.lines().map(|line| line.trim_end_matches('.').to_owned()).collect())
}

#[test]
fn the_binary_agrees_with_openssl_and_dig() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let authority = Authority::new("Test Root").unwrap();
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    let host = own_host();
    let _dns = name_server(folder, &host);
    let _web = web_server(folder, &host, &authority);
    wait_for(&host, DNS);
    wait_for(&host, WEB);
    let tls: String = ["good", "expired", "near", "wrong"]
        .iter()
        .enumerate()
        .map(|(offset, name)| format!("      - {{ name: {name}, address: 'www.example.test:{}' }}\n", usize::from(WEB) + offset))
        .collect();
    let names = ["www", "multi", "alias", "*.apps", "missing", "dangling"].map(|name| format!("      - {{ name: '{name}.example.test' }}\n")).concat();
    let configuration = format!(
        "collectors:\n  dns:\n    system_resolver: false\n    resolvers: [{{ name: knot, address: '{host}:{DNS}' }}]\n    names:\n{names}      - {{ name: a.broken.test }}\n      - {{ name: a.unhosted.test }}\n  http:\n    ca_file: ca.pem\n    resolver: {host}:{DNS}\n    targets:\n      - {{ name: healthy, kind: healthz, url: 'https://www.example.test:{WEB}/healthz', expect: {{ body_matches: '^OK$' }} }}\n      - {{ name: unhealthy, kind: healthz, url: 'https://www.example.test:{WEB}/' }}\n  tls:\n    ca_file: ca.pem\n    resolver: {host}:{DNS}\n    targets:\n{tls}"
    );
    let file = folder.join("readiness.yaml");
    std::fs::write(&file, configuration).unwrap();
    let (code, out, errors) = run(exporter().args(["check", "--output", "json", "--config.file"]).arg(&file));
    assert_eq!(code, 1, "{errors}");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();

    // Certificates: the verdict and the day of expiry.
    for (offset, (name, state, expected)) in [
        ("good", "pass", "0 (ok)"),
        ("expired", "fail", "10 (certificate has expired)"),
        ("near", "pass", "0 (ok)"),
        ("wrong", "fail", "62 (hostname mismatch)"),
    ]
    .into_iter()
    .enumerate()
    {
        let (verdict, end) = openssl(&host, WEB + u16::try_from(offset).unwrap(), folder);
        assert_eq!(verdict, expected, "openssl on {name}");
        assert_eq!(line(&report, "CertificateNotTrusted", name)["state"], state, "{name}");
        let left = line(&report, "CertificateExpiresSoon", name)["evidence"].as_str().unwrap().to_owned();
        let end = jiff::fmt::strtime::parse("%b %e %H:%M:%S %Y", end.trim_end_matches(" GMT"))
            .and_then(|parsed| parsed.to_datetime())
            .unwrap()
            .to_zoned(jiff::tz::TimeZone::UTC)
            .unwrap();
        // As of the judgement: a certificate of ninety days has one day less a second later.
        let at: jiff::Timestamp = report["judgements"][0]["at"].as_str().unwrap().parse().unwrap();
        let days = (end.timestamp().as_second() - at.as_second()) / 86_400;
        assert!(days <= 0 || left.contains(&format!(" {days}d ")), "{name}: openssl says {days} days, we say {left}");
    }
    assert_eq!(line(&report, "CertificateExpiresSoon", "near")["state"], "fail");
    assert_eq!(line(&report, "CertificateExpiresSoon", "expired")["severity"], "critical");

    // Endpoints.
    assert_eq!(line(&report, "EndpointUnhealthy", "healthy")["state"], "pass");
    let unhealthy = line(&report, "EndpointUnhealthy", "unhealthy");
    assert!(unhealthy["evidence"].as_str().unwrap().contains("status 503, expected 200"), "{unhealthy}");

    // Names: the same addresses, or the same refusal.
    for name in ["www.example.test", "multi.example.test", "alias.example.test"] {
        let ours = line(&report, "DnsNameUnresolved", name)["evidence"].as_str().unwrap();
        for answer in dig(&host, name).1 {
            assert!(ours.contains(&answer), "{name}: dig says {answer}, we say {ours}");
        }
    }
    for (name, status, word) in [
        ("missing.example.test", "NXDOMAIN", "A: no such name (NXDOMAIN)"),
        ("dangling.example.test", "NXDOMAIN", "A: no such name (NXDOMAIN)"),
        ("a.broken.test", "SERVFAIL", "A: the name server fails (SERVFAIL)"),
        ("a.unhosted.test", "REFUSED", "A: the name server refuses to answer (REFUSED)"),
    ] {
        assert_eq!(dig(&host, name).0, status, "dig on {name}");
        let ours = line(&report, "DnsNameUnresolved", name);
        assert!(ours["state"] == "fail" && ours["evidence"].as_str().unwrap().contains(word), "{name}: {ours}");
    }
    assert_eq!(line(&report, "DnsNameUnresolved", "*.apps.example.test")["state"], "pass");
}
