//! Answers that are none, and those that refuse.

use readiness_lab::rough::{self, Rough};
use serde_json::Value;

use super::*;
use crate::aws::answer;

/// A service of each form with an operation.
const FORMS: [(Service, &str); 6] = [
    (services::SERVICE_QUOTAS, "GetServiceQuota"),
    (services::CLOUDWATCH, "DescribeAlarms"),
    (services::RDS, "DescribeDBClusters"),
    (services::EC2, "DescribeSubnets"),
    (services::EKS, "DescribeCluster"),
    (services::ROUTE_53, "ListHostedZonesByName"),
];

/// What takes every answer of its form, so that nothing but the form itself refuses.
#[derive(Debug, Deserialize)]
struct Whatever {}

fn header(code: &str) -> Vec<(&'static str, String)> {
    vec![("x-amzn-errortype", code.to_owned())]
}

/// The class and the words of an answer that is none.
async fn told(service: Service, operation: &'static str, answer: Answer) -> (ErrorClass, String) {
    let error = one::<Whatever>(service, question(operation), answer).await.0.unwrap_err();
    let words = error.message.as_str().strip_prefix(&format!("ask for {operation}: ")).unwrap().to_owned();
    assert!(!words.contains("hunter2"), "{words}");
    (error.class, words)
}

#[tokio::test]
async fn the_code_of_an_error_is_read_where_each_form_puts_it() {
    let json = |code: &str| json!({ "__type": code, "message": "hunter2" }).to_string();
    let xml = |code: &str| {
        format!(
            "<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type><Code>{code}</Code><Message>hunter2</Message></Error><RequestId>1</RequestId></ErrorResponse>"
        )
    };
    let ec2 = |code: &str| {
        format!(
            "<?xml version=\"1.0\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>hunter2</Message></Error></Errors><RequestID>1</RequestID></Response>"
        )
    };
    let alone = |code: &str| format!("<Error><Code>{code}</Code><Message>hunter2</Message></Error>");
    let none = Vec::new;
    let [quotas, alarms, rds, ec2_service, eks, route_53] = FORMS;
    for ((service, operation), status, headers, body, class, words) in [
        (quotas, 400, none(), json("NoSuchResourceException"), ErrorClass::NotFound, "NoSuchResourceException"),
        (quotas, 400, none(), json("com.amazonaws.servicequotas#TooManyRequestsException"), ErrorClass::Throttled, "TooManyRequestsException"),
        (quotas, 400, header("AccessDeniedException:http://internal.amazon.com/coral/"), String::new(), ErrorClass::Denied, "AccessDeniedException"),
        (alarms, 400, none(), json("com.amazonaws.cloudwatch.v2010_08_01#ResourceNotFound"), ErrorClass::NotFound, "ResourceNotFound"),
        (alarms, 500, none(), json("InternalServiceFault"), ErrorClass::Server, "InternalServiceFault"),
        (rds, 404, none(), xml("DBClusterNotFoundFault"), ErrorClass::NotFound, "DBClusterNotFoundFault"),
        (rds, 400, none(), xml("Throttling"), ErrorClass::Throttled, "Throttling"),
        (rds, 403, none(), xml("ExpiredToken"), ErrorClass::Denied, "ExpiredToken"),
        (ec2_service, 400, none(), ec2("InvalidSubnetID.NotFound"), ErrorClass::NotFound, "InvalidSubnetID.NotFound"),
        (ec2_service, 400, none(), ec2("InvalidHunter2.NotFound"), ErrorClass::NotFound, "EC2 says that there is no such thing"),
        (ec2_service, 503, none(), ec2("RequestLimitExceeded"), ErrorClass::Throttled, "RequestLimitExceeded"),
        (ec2_service, 400, none(), ec2("RequestExpired"), ErrorClass::Local, "RequestExpired"),
        (eks, 404, header("ResourceNotFoundException"), json!({ "message": "hunter2" }).to_string(), ErrorClass::NotFound, "ResourceNotFoundException"),
        (eks, 400, none(), json!({ "code": "InvalidParameterException" }).to_string(), ErrorClass::Malformed, "InvalidParameterException"),
        (route_53, 404, none(), xml("NoSuchHostedZone"), ErrorClass::NotFound, "NoSuchHostedZone"),
        (route_53, 400, none(), xml("PriorRequestNotComplete"), ErrorClass::Throttled, "PriorRequestNotComplete"),
        (route_53, 503, none(), alone("SlowDown"), ErrorClass::Throttled, "SlowDown"),
    ] {
        let said = told(service, operation, (status, headers, body.clone().into_bytes())).await;
        assert_eq!(said, (class, words.to_owned()), "{} {body}", service.id);
    }
}

#[tokio::test]
async fn what_a_proxy_answers_is_no_word_of_aws() {
    let page = "<!doctype html><html><head><title>hunter2</title></head><body>hunter2<br></body></html>";
    for (service, operation) in FORMS {
        let with = async |status| told(service, operation, (status, Vec::new(), page.as_bytes().to_vec())).await;
        let (class, words) = with(200).await;
        assert!(class == ErrorClass::Malformed && words.starts_with(&format!("status 200 and no answer of {}: it is ", service.id)), "{words}");
        assert_eq!(with(404).await, (ErrorClass::Malformed, "status 404 and no answer of AWS".to_owned()));
        assert_eq!(with(403).await, (ErrorClass::Unreachable, "status 403 and no answer of AWS".to_owned()));
        assert_eq!(with(429).await, (ErrorClass::Throttled, "status 429".to_owned()));
        assert_eq!(with(502).await, (ErrorClass::Server, "status 502".to_owned()));
        let unknown = told(service, operation, (503, header("hunter2"), Vec::new())).await;
        assert_eq!(unknown, (ErrorClass::Server, "status 503 and an error of AWS whose code is not known".to_owned()));
    }
}

/// Each of them would pass for an answer in which nothing stands.
#[tokio::test]
async fn an_answer_of_another_shape_is_none() {
    let [quotas, _, rds, ec2, eks, route_53] = FORMS;
    for ((service, operation), body) in [
        (quotas, "[]"),
        (quotas, ""),
        (quotas, "{\"Quota\":"),
        (eks, "<DescribeClusterResponse/>"),
        (rds, "{}"),
        (rds, "<DescribeDBClustersResponse/>"),
        (rds, "<DescribeDBClustersResponse><DescribeDBInstancesResult/></DescribeDBClustersResponse>"),
        (rds, "<DescribeDBClustersResponse><DescribeDBClustersResult/><DescribeDBClustersResult/></DescribeDBClustersResponse>"),
        (rds, "<DescribeDBInstancesResponse><DescribeDBClustersResult/></DescribeDBInstancesResponse>"),
        (rds, "<DescribeDBClustersResponse><DescribeDBClustersResult><DBClusters>"),
        (ec2, "<DescribeVpcsResponse/>"),
        (ec2, "<DescribeSubnetsResponse><subnetSet>"),
        (route_53, "<ListHostedZonesByNameResponse><HostedZones>"),
        (route_53, "<Error/>"),
    ] {
        let (class, words) = told(service, operation, ok(body)).await;
        assert!(class == ErrorClass::Malformed && words.starts_with("status 200 and no answer of "), "{} {body}: {words}", service.id);
    }
}

#[tokio::test]
async fn half_an_answer_and_one_without_an_end_are_none() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    for (service, operation) in FORMS {
        for (rough, class, words) in [
            (Rough::Truncate, ErrorClass::Unreachable, "the answer cannot be decoded"),
            (Rough::Huge, ErrorClass::Malformed, "the answer is larger than 4 MiB"),
            (Rough::Hang, ErrorClass::Timeout, "no answer within 2s"),
        ] {
            let server = rough::start(rough).await.unwrap();
            let caller = caller(&format!("http://{}", server.address), Nothing);
            let api = Api { caller: &caller, service: &service, limit: Duration::from_secs(2) };
            let error = api.ask::<Whatever>(&question(operation)).await.unwrap_err();
            assert_eq!((error.class, error.message.as_str()), (class, format!("ask for {operation}: {words}").as_str()), "{} {rough:?}", service.id);
        }
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_asked_of_nobody() {
    let stage = Stage::new(|_| ok("{}")).await;
    let error = stage.api(&services::EKS).ask::<Whatever>(&question("DescribeCluster").at(&["clusters", ".."])).await.unwrap_err();
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::Local, "ask for DescribeCluster: a name in it is empty or made of dots"));
    let nobody = Caller::of_settings("eu-west-2", SdkConfig::builder().endpoint_url(format!("http://{}", stage.address)).build());
    let api = Api { caller: &nobody, service: &services::EKS, limit: Duration::from_secs(20) };
    let error = api.ask::<Whatever>(&question("DescribeCluster")).await.unwrap_err();
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::Local, "ask for DescribeCluster: find AWS credentials: there is no provider"));
    let nowhere = caller("no place", Nothing);
    let error = Api { caller: &nowhere, ..api }.ask::<Whatever>(&question("DescribeCluster")).await.unwrap_err();
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::Local, "ask for DescribeCluster: sign a request to eks: it cannot be signed"));
    assert!(stage.asked().is_empty());
}

#[test]
fn fuzz_answers_of_aws() {
    let read = |(service, operation): &(Service, &'static str), body: &[u8]| answer::read::<Value>(service.form, operation, body).is_ok();
    let seeds = [
        r#"{"__type":"a#NoSuchResourceException:b","code":"x"}"#,
        "<DescribeDBClustersResponse xmlns=\"a\"><DescribeDBClustersResult><A><B>1</B></A></DescribeDBClustersResult></DescribeDBClustersResponse>",
        "<?xml version=\"1.0\"?><!-- a --><DescribeSubnetsResponse><subnetSet><item/></subnetSet></DescribeSubnetsResponse>",
        "<Response><Errors><Error><Code>InvalidSubnetID.NotFound</Code></Error></Errors></Response>",
    ];
    crate::fuzz::survive_text(&seeds, |text| {
        let body = text.as_bytes();
        FORMS.iter().filter(|form| read(form, body)).count() + answer::code(&HeaderMap::new(), body).map_or(0, |code| code.len())
    });
}
