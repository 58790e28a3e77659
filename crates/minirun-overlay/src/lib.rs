//! A container's root as a stack of layers.
//!
//! A bundle declares it with a mount of type `overlay` at `/`:
//!
//! ```json
//! { "destination": "/", "type": "overlay", "options": ["lowerdir=layers/2:layers/1", "upperdir=upper", "workdir=work"] }
//! ```
//!
//! [`LayerStack::parse`] reads that, and [`LayerStack::steps`] gives the steps of the plan that mount it. How a container
//! sees the layers is the kernel's overlayfs (Documentation/filesystems/overlayfs.rst); which of its features are on is
//! said explicitly, never left to a module's defaults.

#![forbid(unsafe_code)]

mod options;
mod stack;

pub use stack::LayerStack;
