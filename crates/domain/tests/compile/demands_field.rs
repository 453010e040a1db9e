use stockade_domain::Demands;

fn weaken(mut demands: Demands) {
    demands.0.clear();
}

fn main() {}
