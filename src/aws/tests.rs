//! A service of every form: what it is asked, and what its answers are taken for.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::services::{self, Service};
use super::*;
use crate::snapshot::ErrorClass;

mod pages;
mod refusals;

/// Status, headers, body.
type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

fn ok(body: &str) -> Answer {
    (200, Vec::new(), body.as_bytes().to_vec())
}

/// What AWS was asked.
#[derive(Debug, Clone)]
struct Asked {
    method: String,
    target: String,
    headers: HeaderMap,
    body: String,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whom it is signed for, once the signature is found to be that of what arrived.
    fn signed_for(&self, address: std::net::SocketAddr) -> String {
        let said = self.header("authorization");
        let part = |name: &str| said.split(name).nth(1).unwrap().split(',').next().unwrap();
        let scope = part("Credential=AKIDTEST/");
        let [_, region, service, _] = scope.split('/').collect::<Vec<_>>()[..] else { panic!("{scope}") };
        let date = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", self.header("x-amz-date")).unwrap();
        let time = SystemTime::from(date.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp());
        let identity = credentials().into();
        let params = v4::SigningParams::builder().identity(&identity).region(region).name(service).time(time).settings(SigningSettings::default()).build();
        let given = ["content-type", "x-amz-target"].into_iter().map(|name| (name, self.header(name))).filter(|(_, value)| !value.is_empty());
        let url = format!("http://{address}{}", self.target);
        let request = SignableRequest::new(&self.method, &url, given, SignableBody::Bytes(self.body.as_bytes())).unwrap();
        let (signed, _) = aws_sigv4::http_request::sign(request, &params.unwrap().into()).unwrap().into_parts();
        let signed = signed.headers().find(|(name, _)| *name == "authorization").unwrap().1;
        assert_eq!(signed, said, "it is signed as it arrives");
        assert_eq!(self.header("x-amz-security-token"), "session");
        format!("{service} in {region}")
    }
}

fn credentials() -> Credentials {
    Credentials::new("AKIDTEST", "not-a-real-one", Some("session".to_owned()), None, "test")
}

/// Whoever asks at this place, with what a test says of single services.
fn caller(url: &str, own: impl LoadServiceConfig + 'static) -> Caller {
    let settings = SdkConfig::builder().credentials_provider(SharedCredentialsProvider::new(credentials())).endpoint_url(url).service_config(own);
    Caller::of_settings("eu-west-2", settings.build())
}

/// Services of which nothing is said.
#[derive(Debug)]
struct Nothing;

impl LoadServiceConfig for Nothing {
    fn load_config(&self, _: ServiceConfigKey<'_>) -> Option<String> {
        None
    }
}

/// Services whose every answer is what a test says.
struct Stage {
    address: std::net::SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: tokio::task::JoinHandle<()>,
    caller: Caller,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stage {
    async fn new(answer: impl Fn(&Asked) -> Answer + Clone + Send + Sync + 'static) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let log = Arc::clone(&asked);
        let handler = move |method: &str, target: &str, headers: &HeaderMap, body: &[u8]| {
            let body = String::from_utf8(body.to_vec()).unwrap();
            let asked = Asked { method: method.to_owned(), target: target.to_owned(), headers: headers.clone(), body };
            log.lock().unwrap().push(asked.clone());
            answer(&asked)
        };
        let task = readiness_lab::reading_server(address, handler).await.unwrap();
        // The slash at the end is none of the path.
        Self { address, asked, task, caller: caller(&format!("http://{address}/"), Nothing) }
    }

    fn api<'a>(&'a self, service: &'a Service) -> Api<'a> {
        Api { caller: &self.caller, service, limit: Duration::from_secs(20) }
    }

    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// One question with one answer: what it is taken for, and what was asked.
async fn one<T: DeserializeOwned>(service: Service, question: Question, answer: Answer) -> (Result<T, CollectError>, Asked, String) {
    let stage = Stage::new(move |_| answer.clone()).await;
    let said = stage.api(&service).ask(&question).await;
    let asked = stage.asked().pop().unwrap();
    let signed_for = asked.signed_for(stage.address);
    (said, asked, signed_for)
}

fn question(operation: &'static str) -> Question {
    Question::new(operation, say!("ask for {}", operation))
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
struct Quotas {
    quota: Quota,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
struct Quota {
    value: f64,
}

#[tokio::test]
async fn json_is_posted_with_its_operation_in_a_header() {
    let quota = question("GetServiceQuota").with("ServiceCode", "ec2").with("QuotaCode", "L-1216C47A");
    // Fakes and proxies call it what they like.
    let answer = (200, vec![("content-type", "text/html".to_owned())], br#"{"Quota":{"Value":64.0,"Unit":"None"}}"#.to_vec());
    let (said, asked, signed_for) = one::<Quotas>(services::SERVICE_QUOTAS, quota, answer).await;
    assert_eq!(said.unwrap(), Quotas { quota: Quota { value: 64.0 } });
    assert_eq!((asked.method.as_str(), asked.target.as_str(), signed_for.as_str()), ("POST", "/", "servicequotas in eu-west-2"));
    assert_eq!(asked.header("content-type"), "application/x-amz-json-1.1");
    assert_eq!(asked.header("x-amz-target"), "ServiceQuotasV20190624.GetServiceQuota");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&asked.body).unwrap(), json!({ "ServiceCode": "ec2", "QuotaCode": "L-1216C47A" }));
}

#[tokio::test]
async fn the_older_json_differs_in_its_content_type() {
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Alarms {
        metric_alarms: Vec<serde_json::Value>,
    }
    let (said, asked, signed_for) =
        one::<Alarms>(services::CLOUDWATCH, question("DescribeAlarms").with("AlarmNames", json!(["a"])), ok(r#"{"MetricAlarms":[{}]}"#)).await;
    assert_eq!((said.unwrap().metric_alarms.len(), signed_for.as_str()), (1, "monitoring in eu-west-2"));
    assert_eq!(asked.header("content-type"), "application/x-amz-json-1.0");
    assert_eq!((asked.header("x-amz-target"), asked.body.as_str()), ("GraniteServiceVersion20100801.DescribeAlarms", r#"{"AlarmNames":["a"]}"#));
    let (_, asked, _) = one::<Alarms>(services::CLOUDWATCH, question("DescribeAlarms"), ok("{}")).await;
    assert_eq!(asked.body, "{}", "without parameters, it is an object still");
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Balancers {
    load_balancers: Members<Balancer>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Balancer {
    created_time: String,
}

const BALANCERS: &str = r#"<DescribeLoadBalancersResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"><DescribeLoadBalancersResult>
    <LoadBalancers><member><LoadBalancerName>a</LoadBalancerName><CreatedTime>2026-05-01T12:00:00Z</CreatedTime></member></LoadBalancers>
    </DescribeLoadBalancersResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></DescribeLoadBalancersResponse>"#;

#[tokio::test]
async fn the_query_form_is_a_web_form_whose_answer_is_wrapped_twice() {
    let (said, asked, signed_for) =
        one::<Balancers>(services::ELASTIC_LOAD_BALANCING_V2, question("DescribeLoadBalancers").with("Names", json!(["a", "b"])), ok(BALANCERS)).await;
    assert_eq!(said.unwrap().load_balancers.all[0].created_time, "2026-05-01T12:00:00Z");
    assert_eq!((asked.method.as_str(), asked.target.as_str(), signed_for.as_str()), ("POST", "/", "elasticloadbalancing in eu-west-2"));
    assert_eq!(asked.header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(asked.body, "Action=DescribeLoadBalancers&Version=2015-12-01&Names.member.1=a&Names.member.2=b");
    let none = "<DescribeLoadBalancersResponse><DescribeLoadBalancersResult><LoadBalancers/></DescribeLoadBalancersResult></DescribeLoadBalancersResponse>";
    let (said, _, _) = one::<Balancers>(services::ELASTIC_LOAD_BALANCING_V2, question("DescribeLoadBalancers"), ok(none)).await;
    assert!(said.unwrap().load_balancers.all.is_empty());
}

#[tokio::test]
async fn lists_of_databases_have_names_of_their_own() {
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Databases {
        #[serde(rename = "DBClusters")]
        clusters: Clusters,
    }
    #[derive(Debug, Deserialize)]
    struct Clusters {
        #[serde(default, rename = "DBCluster")]
        all: Vec<Database>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Database {
        status: String,
    }
    let databases = "<DescribeDBClustersResponse><DescribeDBClustersResult><DBClusters><DBCluster><Status>available</Status></DBCluster></DBClusters></DescribeDBClustersResult></DescribeDBClustersResponse>";
    let (said, _, signed_for) = one::<Databases>(services::RDS, question("DescribeDBClusters"), ok(databases)).await;
    assert_eq!((said.unwrap().clusters.all[0].status.as_str(), signed_for.as_str()), ("available", "rds in eu-west-2"));
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subnets {
    subnet_set: Items<Subnet>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subnet {
    available_ip_address_count: u32,
}

#[tokio::test]
async fn ec2_has_lists_and_answers_of_its_own() {
    let answer = r#"<?xml version="1.0" encoding="UTF-8"?>
        <DescribeSubnetsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId><subnetSet>
        <item><availableIpAddressCount>251</availableIpAddressCount></item><item><availableIpAddressCount>4</availableIpAddressCount></item></subnetSet></DescribeSubnetsResponse>"#;
    let (said, asked, signed_for) =
        one::<Subnets>(services::EC2, question("DescribeSubnets").with("SubnetId", json!(["subnet-1", "subnet-2"])), ok(answer)).await;
    let free: Vec<u32> = said.unwrap().subnet_set.all.iter().map(|subnet| subnet.available_ip_address_count).collect();
    assert_eq!((free, signed_for.as_str()), (vec![251, 4], "ec2 in eu-west-2"));
    assert_eq!(asked.body, "Action=DescribeSubnets&Version=2016-11-15&SubnetId.1=subnet-1&SubnetId.2=subnet-2");
}

#[tokio::test]
async fn eks_is_asked_by_paths_and_answers_in_json() {
    #[derive(Debug, Deserialize)]
    struct Nodegroups {
        nodegroups: Vec<String>,
    }
    let groups = question("ListNodegroups").at(&["clusters", "a/b c", "node-groups"]).with("maxResults", 100).with("nextToken", "x+y/=:");
    let (said, asked, signed_for) = one::<Nodegroups>(services::EKS, groups, ok(r#"{"nodegroups":["blue"],"nextToken":null}"#)).await;
    assert_eq!((said.unwrap().nodegroups, signed_for.as_str()), (vec!["blue".to_owned()], "eks in eu-west-2"));
    assert_eq!((asked.method.as_str(), asked.body.as_str()), ("GET", ""));
    assert_eq!(asked.target, "/clusters/a%2Fb%20c/node-groups?maxResults=100&nextToken=x%2By%2F%3D%3A");
}

#[tokio::test]
async fn route_53_is_asked_by_paths_and_answers_in_xml() {
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Zones {
        hosted_zones: OfZones,
    }
    #[derive(Debug, Deserialize)]
    struct OfZones {
        #[serde(default, rename = "HostedZone")]
        all: Vec<Zone>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Zone {
        id: String,
    }
    let zones = question("ListHostedZonesByName").at(&["2013-04-01", "hostedzonesbyname"]).with("dnsname", "lab.test");
    let answer = "<ListHostedZonesByNameResponse><HostedZones><HostedZone><Id>/hostedzone/Z1</Id></HostedZone></HostedZones><IsTruncated>false</IsTruncated></ListHostedZonesByNameResponse>";
    let (said, asked, signed_for) = one::<Zones>(services::ROUTE_53, zones, ok(answer)).await;
    assert_eq!((said.unwrap().hosted_zones.all[0].id.as_str(), signed_for.as_str()), ("/hostedzone/Z1", "route53 in us-east-1"));
    assert_eq!(asked.target, "/2013-04-01/hostedzonesbyname?dnsname=lab.test");
}

#[tokio::test]
async fn a_service_is_asked_where_the_environment_says_and_else_at_home() {
    #[derive(Debug)]
    struct OfLogs;
    impl LoadServiceConfig for OfLogs {
        fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
            let asked = (key.service_id(), key.env(), key.profile());
            (asked == ("CloudWatch Logs", "AWS_ENDPOINT_URL", "endpoint_url")).then(|| "http://logs.test/".to_owned())
        }
    }
    let told = caller("http://all.test", OfLogs);
    assert_eq!(told.endpoint(&services::CLOUDWATCH_LOGS).await.unwrap(), "http://logs.test");
    assert_eq!(told.endpoint(&services::CLOUDWATCH).await.unwrap(), "http://all.test");
    let untold = Caller::of_provider("eu-west-2", credentials());
    assert_eq!(untold.endpoint(&services::CLOUDWATCH_LOGS).await.unwrap(), "https://logs.eu-west-2.amazonaws.com");
}
