//! Lists that come in pages.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[derive(Debug, Deserialize)]
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

/// The pages of a list whose every page names the one that a test says for its number.
async fn listed(next: impl Fn(usize) -> serde_json::Value + Clone + Send + Sync + 'static) -> (Result<Vec<String>, CollectError>, Vec<String>) {
    let count = Arc::new(AtomicUsize::new(0));
    let stage = Stage::new(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        ok(&json!({ "clusters": [format!("c{number}")], "nextToken": next(number) }).to_string())
    })
    .await;
    let pages = stage.api(&services::EKS).pages::<Clusters>(&question("ListClusters").at(&["clusters"]).with("maxResults", 1)).await;
    let names = pages.map(|pages| pages.into_iter().flat_map(|page| page.clusters).collect());
    (names, stage.asked().into_iter().map(|asked| asked.target).collect())
}

#[tokio::test]
async fn pages_are_asked_for_until_there_is_no_other() {
    for last in [json!(null), json!("")] {
        let (names, asked) = listed(move |number| if number < 2 { json!(format!("t{number}")) } else { last.clone() }).await;
        assert_eq!(names.unwrap(), ["c0", "c1", "c2"]);
        assert_eq!(asked, ["/clusters?maxResults=1", "/clusters?maxResults=1&nextToken=t0", "/clusters?maxResults=1&nextToken=t1"]);
    }
}

#[tokio::test]
async fn a_list_that_goes_in_a_circle_is_none() {
    for circle in [1, 2] {
        let (names, asked) = listed(move |number| json!(format!("t{}", number % circle))).await;
        let error = names.unwrap_err();
        assert_eq!((error.class, error.message.as_str()), (ErrorClass::Malformed, "ask for ListClusters: it says of a page that was read that it comes next"));
        assert_eq!(asked.len(), circle + 1);
    }
}

#[tokio::test]
async fn a_list_without_an_end_is_none() {
    let (names, asked) = listed(|number| json!(number.to_string())).await;
    assert_eq!((names.unwrap_err().message.as_str(), asked.len()), ("ask for ListClusters: it has more than 100 pages", 100));
}

#[tokio::test]
async fn a_page_that_fails_makes_all_of_them_fail() {
    let stage = Stage::new(|asked| {
        if asked.target.contains("nextToken") {
            return (400, vec![("x-amzn-errortype", "ThrottlingException".to_owned())], Vec::new());
        }
        ok(r#"{"clusters":["a"],"nextToken":"t"}"#)
    })
    .await;
    let error = stage.api(&services::EKS).pages::<Clusters>(&question("ListClusters").at(&["clusters"])).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Throttled);
}

#[tokio::test]
async fn an_empty_marker_ends_a_list() {
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Balanced {
        load_balancers: Members<Balancer>,
        next_marker: Option<String>,
    }
    impl Page for Balanced {
        fn next(&self) -> Vec<(&'static str, String)> {
            token("Marker", self.next_marker.as_deref())
        }
    }
    let stage = Stage::new(|asked| {
        let more = if asked.body.ends_with("&Marker=m") { "<NextMarker/>" } else { "<NextMarker>m</NextMarker>" };
        ok(&BALANCERS.replace("</LoadBalancers>", &format!("</LoadBalancers>{more}")))
    })
    .await;
    let pages = stage.api(&services::ELASTIC_LOAD_BALANCING_V2).pages::<Balanced>(&question("DescribeLoadBalancers")).await.unwrap();
    assert_eq!(pages.iter().map(|page| page.load_balancers.all.len()).collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test]
async fn several_names_lead_to_the_next_page_of_route_53() {
    #[derive(Debug, Deserialize)]
    struct Records {
        #[serde(rename = "NextRecordName")]
        name: Option<String>,
        #[serde(rename = "NextRecordType")]
        r#type: Option<String>,
        #[serde(rename = "NextRecordIdentifier")]
        identifier: Option<String>,
    }
    impl Page for Records {
        fn next(&self) -> Vec<(&'static str, String)> {
            [token("name", self.name.as_deref()), token("type", self.r#type.as_deref()), token("identifier", self.identifier.as_deref())].concat()
        }
    }
    let stage = Stage::new(|asked| {
        let more = match asked.target.split_once('?').map(|(_, query)| query) {
            None => "<NextRecordName>a.</NextRecordName><NextRecordType>A</NextRecordType><NextRecordIdentifier>eu</NextRecordIdentifier>",
            Some("identifier=eu&name=a.&type=A") => "<NextRecordName>a.</NextRecordName><NextRecordType>AAAA</NextRecordType>",
            Some(_) => "",
        };
        ok(&format!("<ListResourceRecordSetsResponse>{more}</ListResourceRecordSetsResponse>"))
    })
    .await;
    let records = question("ListResourceRecordSets").at(&["2013-04-01", "hostedzone", "Z1", "rrset"]);
    assert_eq!(stage.api(&services::ROUTE_53).pages::<Records>(&records).await.unwrap().len(), 3, "of two pages with one name");
    assert_eq!(stage.asked()[2].target, "/2013-04-01/hostedzone/Z1/rrset?name=a.&type=AAAA");
}
