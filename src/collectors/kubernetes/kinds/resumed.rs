//! Until when a CronJob may have been suspended: what was due before is not missed where its controller does not make
//! up for it. Without a deadline for starting it starts the last turn as soon as the CronJob is resumed.
//!
//! Source: `mostRecentScheduleTime` in `pkg/controller/cronjob/utils.go` of Kubernetes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};

/// Who wrote last whether a CronJob is suspended: when, and whether that one owns nothing else of it, so that its time is
/// that of this change and of no other.
pub(in crate::collectors::kubernetes) fn written(meta: &ObjectMeta) -> Option<(i64, bool)> {
    let owner = |entry: &ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref()?.0.as_object()?;
        let spec = fields.get("f:spec")?.as_object()?;
        let at = entry.time.as_ref()?.0.as_second();
        spec.contains_key("f:suspend").then_some((at, spec.len() == 1 && fields.len() == 1))
    };
    meta.managed_fields.iter().flatten().filter_map(owner).max()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(entries: &Value) -> Option<(i64, bool)> {
        written(&serde_json::from_value(json!({ "managedFields": entries })).unwrap())
    }

    fn entry(hour: u8, fields: &Value) -> Value {
        json!({ "manager": "m", "operation": "Update", "time": format!("1970-01-01T{hour:02}:00:00Z"), "fieldsType": "FieldsV1", "fieldsV1": fields })
    }

    #[test]
    fn who_resumes_a_cron_job_and_writes_nothing_else_tells_when() {
        let status = entry(9, &json!({ "f:status": { "f:lastScheduleTime": {} } }));
        let chart = |hour: u8| entry(hour, &json!({ "f:metadata": { "f:labels": {} }, "f:spec": { "f:schedule": {}, "f:suspend": {} } }));
        let patch = entry(5, &json!({ "f:spec": { "f:suspend": {} } }));
        let rest = entry(1, &json!({ "f:spec": { "f:schedule": {} } }));
        assert_eq!(told(&json!([rest, patch, status])), Some((5 * 3600, true)));
        assert_eq!(told(&json!([chart(3), status])), Some((3 * 3600, false)), "it may have written anything then");
        for none in [json!([rest, status]), json!([]), json!(null), json!([{ "manager": "m" }]), json!([entry(1, &json!({ "f:spec": {} }))])] {
            assert_eq!(told(&none), None, "{none}");
        }
    }
}
