//! How much content may be, and how much work it may make.

/// The source of one template.
pub const TEMPLATE_BYTES_MAX: usize = 64 * 1024;

/// The sources of all templates of one content.
pub const CONTENT_BYTES_MAX: usize = 256 * 1024;

/// The elements of one content, those inside channel elements among them.
pub const ELEMENTS_MAX: usize = 500;

/// The source of an `if` or a `loop` of an element.
pub const EXPRESSION_BYTES_MAX: usize = 1024;

/// `for` inside `for` in one template.
pub const TEMPLATE_LOOPS_NESTED_MAX: usize = 3;

/// `~` and `+` in one template. Each can double a text, and fuel does not see how long texts are.
pub const TEMPLATE_CONCATENATIONS_MAX: usize = 8;

/// How often a `loop` repeats an element, how far `range` counts and how many items a filter takes.
pub const LOOP_ITEMS_MAX: usize = 1_000;

/// The longest text that a filter takes or gives.
pub const FILTER_BYTES_MAX: usize = 8 * 1024;

/// Everything that one rendering writes; the HTML document by itself as well.
pub const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// Instructions in one run of one template.
pub const TEMPLATE_FUEL: u64 = 10_000;

/// Instructions in one rendering, with what elements cost by being there.
pub const RENDERING_FUEL: u64 = 50_000;

/// What showing an element once costs, besides its templates.
pub(crate) const ELEMENT_FUEL: u64 = 10;
