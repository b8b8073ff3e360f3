//! The services of AWS that are asked without an SDK: where each is, whom its requests are signed for, and in which form
//! it speaks. A table, which asks nobody.
//!
//! Source: the models that the SDKs are made of, <https://github.com/boto/botocore/tree/develop/botocore/data>: of each
//! service `service-2.json` and `endpoint-rule-set-1.json`.

/// How a service wants to be asked, with what of it stands in each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// JSON in a POST, with what stands before the operation in `X-Amz-Target`.
    /// Source: <https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html>
    Json10(&'static str),
    /// The same under another content type.
    /// Source: <https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html>
    Json11(&'static str),
    /// A web form in a POST, answered in XML, with the version of the API.
    /// Source: <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html>
    Query(&'static str),
    /// The same with other lists, answers and errors.
    /// Source: <https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html>
    Ec2(&'static str),
    /// A GET of a path, answered in JSON.
    /// Source: <https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html>
    RestJson,
    /// A GET of a path, answered in XML.
    /// Source: <https://smithy.io/2.0/aws/protocols/aws-restxml-protocol.html>
    RestXml,
}

/// Where a service is that has one place for a whole partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The host.
    pub host: &'static str,
    /// The region that requests to it are signed for.
    pub region: &'static str,
}

/// In how many places a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// One in each region.
    Regional,
    /// One in each partition.
    Global {
        /// Where it is for everybody else.
        aws: Place,
        /// Where it is for regions in China.
        china: Place,
        /// Where it is for regions of the government of the United States.
        gov: Place,
    },
}

/// A service of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// The id that the SDKs know it by, which people read and which names its variable: `Service Quotas` can be sent
    /// elsewhere by `AWS_ENDPOINT_URL_SERVICE_QUOTAS`.
    /// Source: <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
    pub id: &'static str,
    /// The first part of its host, which for all of these is the name in the signature as well.
    pub name: &'static str,
    /// In which form it is asked.
    pub form: Form,
    /// In how many places it is.
    pub reach: Reach,
}

impl Service {
    /// Its URL for whoever is in a region, and the region that requests to it are signed for.
    pub fn place<'a>(&self, region: &'a str) -> (String, &'a str) {
        match self.reach {
            Reach::Regional => (format!("https://{}.{region}.{}", self.name, domain(region)), region),
            Reach::Global { aws, china, gov } => {
                let place = if region.starts_with("cn-") {
                    china
                } else if region.starts_with("us-gov-") {
                    gov
                } else {
                    aws
                };
                (format!("https://{}", place.host), place.region)
            }
        }
    }

    const fn regional(id: &'static str, name: &'static str, form: Form) -> Self {
        Self { id, name, form, reach: Reach::Regional }
    }
}

/// The domain of a region's partition.
pub(crate) fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// Certificates of load balancers.
pub const ACM: Service = Service::regional("ACM", "acm", Form::Json11("CertificateManager"));
/// Groups of instances that grow and shrink.
pub const AUTO_SCALING: Service = Service::regional("Auto Scaling", "autoscaling", Form::Query("2011-01-01"));
/// Copies of data.
pub const BACKUP: Service = Service::regional("Backup", "backup", Form::RestJson);
/// Models, by its side that manages them.
pub const BEDROCK: Service = Service::regional("Bedrock", "bedrock", Form::RestJson);
/// The record of who did what.
pub const CLOUDTRAIL: Service = Service::regional("CloudTrail", "cloudtrail", Form::Json11("com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101"));
/// Metrics and alarms.
pub const CLOUDWATCH: Service = Service::regional("CloudWatch", "monitoring", Form::Json10("GraniteServiceVersion20100801"));
/// Logs.
pub const CLOUDWATCH_LOGS: Service = Service::regional("CloudWatch Logs", "logs", Form::Json11("Logs_20140328"));
/// Instances, networks and volumes.
pub const EC2: Service = Service::regional("EC2", "ec2", Form::Ec2("2016-11-15"));
/// Clusters of Kubernetes.
pub const EKS: Service = Service::regional("EKS", "eks", Form::RestJson);
/// Load balancers for applications and networks.
pub const ELASTIC_LOAD_BALANCING_V2: Service = Service::regional("Elastic Load Balancing v2", "elasticloadbalancing", Form::Query("2015-12-01"));
/// What AWS says of its own troubles. Its places are those that are active unless a whole region is lost.
/// Source: <https://docs.aws.amazon.com/health/latest/ug/health-api.html>
pub const HEALTH: Service = Service {
    id: "Health",
    name: "health",
    form: Form::Json11("AWSHealth_20160804"),
    reach: Reach::Global {
        aws: Place { host: "health.us-east-1.amazonaws.com", region: "us-east-1" },
        china: Place { host: "health.cn-northwest-1.amazonaws.com.cn", region: "cn-northwest-1" },
        gov: Place { host: "health.us-gov-west-1.amazonaws.com", region: "us-gov-west-1" },
    },
};
/// Users, roles and keys.
/// Source: <https://docs.aws.amazon.com/general/latest/gr/iam-service.html>
pub const IAM: Service = Service {
    id: "IAM",
    name: "iam",
    form: Form::Query("2010-05-08"),
    reach: Reach::Global {
        aws: Place { host: "iam.amazonaws.com", region: "us-east-1" },
        china: Place { host: "iam.cn-north-1.amazonaws.com.cn", region: "cn-north-1" },
        gov: Place { host: "iam.us-gov.amazonaws.com", region: "us-gov-west-1" },
    },
};
/// Databases.
pub const RDS: Service = Service::regional("RDS", "rds", Form::Query("2014-10-31"));
/// Names and health checks.
/// Source: <https://docs.aws.amazon.com/general/latest/gr/r53.html>
pub const ROUTE_53: Service = Service {
    id: "Route 53",
    name: "route53",
    form: Form::RestXml,
    reach: Reach::Global {
        aws: Place { host: "route53.amazonaws.com", region: "us-east-1" },
        china: Place { host: "route53.amazonaws.com.cn", region: "cn-northwest-1" },
        gov: Place { host: "route53.us-gov.amazonaws.com", region: "us-gov-west-1" },
    },
};
/// How much of everything an account may have.
pub const SERVICE_QUOTAS: Service = Service::regional("Service Quotas", "servicequotas", Form::Json11("ServiceQuotasV20190624"));
/// Topics and who hears them.
pub const SNS: Service = Service::regional("SNS", "sns", Form::Query("2010-03-31"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_where_its_partition_has_it() {
        for (service, region, url, signed_for) in [
            (CLOUDWATCH, "eu-west-2", "https://monitoring.eu-west-2.amazonaws.com", "eu-west-2"),
            (ELASTIC_LOAD_BALANCING_V2, "cn-north-1", "https://elasticloadbalancing.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            (SERVICE_QUOTAS, "us-gov-east-1", "https://servicequotas.us-gov-east-1.amazonaws.com", "us-gov-east-1"),
            (IAM, "eu-west-2", "https://iam.amazonaws.com", "us-east-1"),
            (IAM, "cn-northwest-1", "https://iam.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            (IAM, "us-gov-east-1", "https://iam.us-gov.amazonaws.com", "us-gov-west-1"),
            (ROUTE_53, "eu-west-2", "https://route53.amazonaws.com", "us-east-1"),
            (ROUTE_53, "cn-north-1", "https://route53.amazonaws.com.cn", "cn-northwest-1"),
            (ROUTE_53, "us-gov-east-1", "https://route53.us-gov.amazonaws.com", "us-gov-west-1"),
            (HEALTH, "eu-west-2", "https://health.us-east-1.amazonaws.com", "us-east-1"),
        ] {
            assert_eq!(service.place(region), (url.to_owned(), signed_for), "{} in {region}", service.id);
        }
    }
}
