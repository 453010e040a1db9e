use stockade_domain::Plan;

fn weaken(plan: &mut Plan) {
    plan.planned.clear();
}

fn main() {}
