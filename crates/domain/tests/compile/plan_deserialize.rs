use stockade_domain::Plan;

fn main() {
    let _plan: Plan = serde_json::from_str("{}").unwrap();
}
