//! Whom a message is for, and what is to become of it for each: pure questions to the read models.

mod address;
mod plan;
mod resolve;
mod route;

pub use address::Address;
pub use plan::{Given, Plan, PlanQuestion, TemplateChoice};
pub use resolve::Resolution;
pub use route::{ChannelPlan, Decision, PlannedRoute, PlannedStep};
