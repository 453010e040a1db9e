// The positive control of the other cases: what they use exists and is public.
use stockade_domain::{Demands, Plan};

fn read(demands: &Demands, plan: &Plan) -> usize {
    demands.iter().count() + plan.planned().len()
}

fn main() {
    let _ = read;
    let _: Demands = serde_json::from_str("[]").unwrap();
    fn is_serialisable<T: serde::Serialize>() {}
    is_serialisable::<Plan>();
}
