//! Services of AWS in every form that they speak, as moto has them.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use readiness_exporter::aws::services::{self, Service};
use readiness_exporter::aws::{Api, Caller, Items, Members, Page, Question, token};
use readiness_exporter::say;
use readiness_exporter::snapshot::{CollectError, ErrorClass};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::common::{exporter, run};
use crate::moto::{Moto, with_aws};

/// What all services are asked through.
struct Aws(Caller);

impl Aws {
    fn of(moto: &Moto) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let identity = SharedCredentialsProvider::new(Credentials::new("AKIDTEST", "not-a-real-one", None, None, "test"));
        Self(Caller::of_settings("us-east-2", SdkConfig::builder().credentials_provider(identity).endpoint_url(&moto.endpoint).build()))
    }

    fn api<'a>(&'a self, service: &'a Service) -> Api<'a> {
        Api { caller: &self.0, service, limit: Duration::from_mins(1) }
    }

    async fn ask<T: DeserializeOwned>(&self, service: Service, question: Question) -> T {
        self.api(&service).ask(&question).await.unwrap()
    }

    /// The class and the words of a refusal.
    async fn refused(&self, service: Service, question: Question) -> (ErrorClass, String) {
        let CollectError { class, message, .. } = self.api(&service).ask::<Value>(&question).await.unwrap_err();
        (class, message.as_str().to_owned())
    }
}

fn question(operation: &'static str) -> Question {
    Question::new(operation, say!("ask for {}", operation))
}

const MADE: &str = "
vpc = client('ec2').create_vpc(CidrBlock='10.0.0.0/16')['Vpc']['VpcId']
nets = [client('ec2').create_subnet(VpcId=vpc, CidrBlock=f'10.0.{n}.0/24')['Subnet']['SubnetId'] for n in range(2)]
for name in ['workshop', 'spare']: client('eks').create_cluster(name=name, roleArn='arn:aws:iam::123456789012:role/eks', resourcesVpcConfig={'subnetIds': nets})
client('rds').create_db_cluster(DBClusterIdentifier='coder', Engine='aurora-postgresql', MasterUsername='coder', MasterUserPassword='hunter2hunter2')
client('cloudwatch').put_metric_alarm(AlarmName='full', Namespace='AWS/EBS', MetricName='a', Statistic='Sum', Period=60, EvaluationPeriods=1, Threshold=1.0, ComparisonOperator='GreaterThanThreshold')
client('elbv2').create_load_balancer(Name='entrance', Subnets=nets)
zone = client('route53').create_hosted_zone(Name='lab.test', CallerReference='1')['HostedZone']['Id']
print(json.dumps({'nets': nets, 'zone': zone}))";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Quotas {
    quotas: Vec<Quota>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Quota {
    quota_code: String,
    value: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Alarms {
    metric_alarms: Vec<Alarm>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Alarm {
    alarm_name: String,
    state_value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Clusters {
    clusters: Vec<String>,
    next_token: Option<String>,
}

impl Page for Clusters {
    fn next(&self) -> Vec<(&'static str, String)> {
        token("nextToken", self.next_token.as_deref())
    }
}

#[derive(Deserialize)]
struct Described {
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cluster {
    name: String,
    created_at: f64,
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_speak_json_as_moto_has_them() {
    let moto = Moto::start();
    moto.boto(MADE);
    let aws = Aws::of(&moto);
    let quotas: Quotas = aws.ask(services::SERVICE_QUOTAS, question("ListAWSDefaultServiceQuotas").with("ServiceCode", "vpc")).await;
    assert!(quotas.quotas.iter().any(|quota| quota.quota_code.starts_with("L-") && quota.value > 0.0) && quotas.quotas.len() > 3);
    let unknown = question("GetServiceQuota").with("ServiceCode", "vpc").with("QuotaCode", "L-0");
    assert_eq!(aws.refused(services::SERVICE_QUOTAS, unknown).await, (ErrorClass::NotFound, "ask for GetServiceQuota: NoSuchResourceException".to_owned()));

    let alarms: Alarms = aws.ask(services::CLOUDWATCH, question("DescribeAlarms").with("AlarmNames", vec!["full"])).await;
    let [Alarm { alarm_name, state_value }] = &alarms.metric_alarms[..] else { panic!("one alarm") };
    assert_eq!((alarm_name.as_str(), state_value.as_str()), ("full", "OK"));
    let board = question("GetDashboard").with("DashboardName", "none");
    assert_eq!(aws.refused(services::CLOUDWATCH, board).await, (ErrorClass::NotFound, "ask for GetDashboard: ResourceNotFound".to_owned()));

    let clusters = question("ListClusters").at(&["clusters"]).with("maxResults", 1);
    let pages = aws.api(&services::EKS).pages::<Clusters>(&clusters).await.unwrap();
    assert_eq!(pages.iter().map(|page| page.clusters.as_slice()).collect::<Vec<_>>(), [["spare"], ["workshop"]]);
    let described: Described = aws.ask(services::EKS, question("DescribeCluster").at(&["clusters", "workshop"])).await;
    assert!(described.cluster.name == "workshop" && described.cluster.created_at > 1e9);
    let other = question("DescribeCluster").at(&["clusters", "other"]);
    assert_eq!(aws.refused(services::EKS, other).await, (ErrorClass::NotFound, "ask for DescribeCluster: ResourceNotFoundException".to_owned()));
}

#[derive(Deserialize)]
struct Databases {
    #[serde(rename = "DBClusters")]
    clusters: OfDatabases,
}

#[derive(Deserialize)]
struct OfDatabases {
    #[serde(default, rename = "DBCluster")]
    all: Vec<Database>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Database {
    status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Balancers {
    load_balancers: Members<Balancer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Balancer {
    load_balancer_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subnets {
    subnet_set: Items<Subnet>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subnet {
    subnet_id: String,
    available_ip_address_count: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Records {
    resource_record_sets: OfRecords,
}

#[derive(Deserialize)]
struct OfRecords {
    #[serde(default, rename = "ResourceRecordSet")]
    all: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    name: String,
    r#type: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_speak_xml_as_moto_has_them() {
    let moto = Moto::start();
    let made: Value = serde_json::from_str(&moto.boto(MADE)).unwrap();
    let aws = Aws::of(&moto);
    let databases: Databases = aws.ask(services::RDS, question("DescribeDBClusters")).await;
    assert_eq!(databases.clusters.all[0].status, "available");
    let other = question("DescribeDBClusters").with("DBClusterIdentifier", "other");
    assert_eq!(aws.refused(services::RDS, other).await, (ErrorClass::NotFound, "ask for DescribeDBClusters: DBClusterNotFoundFault".to_owned()));

    let named = |name: &str| question("DescribeLoadBalancers").with("Names", vec![name]);
    let balancers: Balancers = aws.ask(services::ELASTIC_LOAD_BALANCING_V2, named("entrance")).await;
    assert_eq!(balancers.load_balancers.all[0].load_balancer_name, "entrance");
    let other = aws.refused(services::ELASTIC_LOAD_BALANCING_V2, named("other")).await;
    assert_eq!(other, (ErrorClass::NotFound, "ask for DescribeLoadBalancers: LoadBalancerNotFound".to_owned()));

    let second = made["nets"][1].as_str().unwrap();
    let of = |nets: Value| question("DescribeSubnets").with("SubnetId", nets);
    let both: Subnets = aws.ask(services::EC2, of(made["nets"].clone())).await;
    assert_eq!(both.subnet_set.all.len(), 2);
    let one: Subnets = aws.ask(services::EC2, of(serde_json::json!([second]))).await;
    let [Subnet { subnet_id, available_ip_address_count }] = &one.subnet_set.all[..] else { panic!("one subnet") };
    assert!(subnet_id == second && (200..=251).contains(available_ip_address_count));
    let other = aws.refused(services::EC2, of(serde_json::json!(["subnet-0123456789abcdef0"]))).await;
    assert_eq!(other, (ErrorClass::NotFound, "ask for DescribeSubnets: InvalidSubnetID.NotFound".to_owned()));

    let zone = made["zone"].as_str().unwrap().rsplit('/').next().unwrap();
    let records = |zone: &str| question("ListResourceRecordSets").at(&["2013-04-01", "hostedzone", zone, "rrset"]);
    let listed: Records = aws.ask(services::ROUTE_53, records(zone)).await;
    assert!(listed.resource_record_sets.all.iter().any(|record| record.name == "lab.test." && record.r#type == "NS"));
    let other = aws.refused(services::ROUTE_53, records("Z0")).await;
    assert_eq!(other, (ErrorClass::NotFound, "ask for ListResourceRecordSets: NoSuchHostedZone".to_owned()));
}

#[test]
fn one_service_may_be_elsewhere() {
    let (folder, moto) = (tempfile::tempdir().unwrap(), Moto::start());
    let key = "client('iam').create_user(UserName='llm')\nkey = client('iam').create_access_key(UserName='llm')['AccessKey']\n\
               print(f\"aws_access_key_id = {key['AccessKeyId']}\\naws_secret_access_key = {key['SecretAccessKey']}\")";
    std::fs::write(folder.path().join("key"), moto.boto(key)).unwrap();
    let file = folder.path().join("readiness.yaml");
    let configuration = "events: [{ name: e, time_zone: UTC, start: 2030-01-01T09:00, duration: 1h }]\nchecklists: [{ name: workshop }]\n\
        collectors:\n  credentials:\n    credentials: [{ name: llm, kind: aws_access_key, max_age: 90d, aws: { region: us-east-2 }, from: { file: key } }]\n";
    std::fs::write(&file, configuration).unwrap();
    for (variable, is_seen) in [("AWS_ENDPOINT_URL_IAM", true), ("AWS_ENDPOINT_URL_EKS", false)] {
        let mut command = exporter();
        command.args(["check", "--output", "text", "--all", "--config.file"]).arg(&file);
        let command = with_aws(&mut command, "http://127.0.0.1:9").env("AWS_ENDPOINT_URL_STS", &moto.endpoint).env(variable, &moto.endpoint);
        let said = run(command).1;
        assert!(said.contains("pass    W1.2 No credential is refused"), "STS was asked: {said}");
        assert_eq!(said.contains("pass    W1.9 Every credential was made, or written to its place, within 90d"), is_seen, "{variable}: {said}");
    }
}
