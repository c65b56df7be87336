//! Activations in a layout of our own, and the place where their gradient gathers.
//!
//! dfdx keeps the tape, the parameters and their gradients; activations and their gradients live in the device's own
//! buffers ([`Memory`](super::memory::Memory)), so that a layout made for the kernels holds from the first convolution
//! to the flattening, and nothing is converted in between.

use super::failure::device_error;
use super::gradient::GradientCell;
use super::memory::{Matrix, Memory, take_gradient};
use super::pass::Pass;
use super::pending::{Affine, PendingKernel};
use preprocess::{Error, Result};
use std::rc::Rc;

/// How a buffer is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// The device's layout for activations; on the CPU `[n, ceil(c / 16), h, w, 16]`, unused lanes zero.
    Activations,
    /// Interleaved pixels `[n, h, w, c]`: images, which only a convolution reads.
    Images,
}

/// Activations of a batch; a clone shares them.
#[derive(Debug)]
pub struct FeatureMap<B: Memory> {
    pub(crate) shape: [usize; 4],
    pub(crate) layout: Layout,
    pub(crate) data: Rc<B::Buffer>,
    /// What a reader has to apply to `data` first. Convolutions do it on their way, so that the result is never
    /// written.
    pub(crate) affine: Option<Rc<Affine<B>>>,
    /// Mean and mean squared deviation of each channel of each image, if the op that made the map took them.
    pub(crate) moments: Option<Rc<B::Buffer>>,
    /// By the activations, `affine` applied.
    pub(crate) gradient: Option<GradientCell<B>>,
}

impl<B: Memory> Clone for FeatureMap<B> {
    fn clone(&self) -> Self {
        Self {
            data: Rc::clone(&self.data),
            affine: self.affine.clone(),
            moments: self.moments.clone(),
            gradient: self.gradient.clone(),
            ..*self
        }
    }
}

impl<B: PendingKernel> FeatureMap<B> {
    /// The result of an op: it has a gradient if the pass has a tape.
    pub(crate) fn new(shape: [usize; 4], data: B::Buffer, pass: &Pass<B>) -> Self {
        let gradient = pass.has_tape().then(GradientCell::default);
        Self { shape, layout: Layout::Activations, data: Rc::new(data), affine: None, moments: None, gradient }
    }

    /// A map that is there already, with `affine` still to be applied.
    pub(crate) fn normalized(shape: [usize; 4], data: Rc<B::Buffer>, affine: Affine<B>, pass: &Pass<B>) -> Self {
        let (affine, gradient) = (Some(Rc::new(affine)), pass.has_tape().then(GradientCell::default));
        Self { shape, layout: Layout::Activations, data, affine, moments: None, gradient }
    }

    /// Activations from host memory in `[n, c, h, w]` order; their gradient is kept if the pass has a tape.
    ///
    /// # Errors
    /// The number of values is not that of the shape, or the device has no memory left.
    pub fn from_nchw(values: &[f32], shape: [usize; 4], pass: &Pass<B>) -> Result<Self> {
        check_len("activations", values.len(), shape)?;
        let data = pass.device().upload(pass.pool(), shape, values).map_err(device_error("upload activations"))?;
        Ok(Self::new(shape, data, pass))
    }

    /// Images, as a network's first convolution reads them. They have no gradient.
    pub(crate) fn images(shape: [usize; 4], data: B::Buffer) -> Self {
        Self { shape, layout: Layout::Images, data: Rc::new(data), affine: None, moments: None, gradient: None }
    }

    /// `[images, channels, height, width]`.
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// The activations on the host in `[n, c, h, w]` order.
    ///
    /// # Errors
    /// They are images, or the device failed.
    pub fn to_nchw(&self, device: &B) -> Result<Vec<f32>> {
        let data = match (self.layout, &self.affine) {
            (Layout::Activations, None) => Rc::clone(&self.data),
            _ => self.applied("download", device, &device.pool().map_err(device_error("download activations"))?)?,
        };
        device.download(self.shape, &data).map_err(device_error("download activations"))
    }

    /// The gradient that has gathered so far and was not yet used, on the host in `[n, c, h, w]` order.
    ///
    /// # Errors
    /// The device failed.
    pub fn gradient_to_nchw(&self, device: &B) -> Result<Option<Vec<f32>>> {
        let Some(cell) = &self.gradient else { return Ok(None) };
        let pool = device.pool().map_err(device_error("compute a gradient"))?;
        cell.settle(device, &pool, self.shape).map_err(device_error("compute a gradient"))?;
        let gathered = cell.gathered.borrow();
        let downloaded = gathered.sum.as_ref().map(|buffer| device.download(self.shape, buffer)).transpose();
        downloaded.map_err(device_error("download a gradient"))
    }

    /// `[images, features]` of flattened images.
    pub(crate) fn flat_shape(&self, op: &str) -> Result<[usize; 2]> {
        match self.shape {
            [n, features, 1, 1] => Ok([n, features]),
            shape => Err(Error::new(format!("cannot apply `{op}` to images of shape {shape:?}"))
                .because("they are not flattened")),
        }
    }

    /// What lies in memory, and what an op that applies it on the way has to apply first.
    ///
    /// # Errors
    /// They are images.
    pub(crate) fn source(&self, op: &str) -> Result<(&B::Buffer, Option<&Affine<B>>)> {
        match self.layout {
            Layout::Activations => Ok((&self.data, self.affine.as_deref())),
            Layout::Images => Err(images_unread(op)),
        }
    }

    /// The activations for an op that does not apply what is pending itself.
    pub(crate) fn activations(&self, op: &str, pass: &Pass<B>) -> Result<Rc<B::Buffer>> {
        self.applied(op, pass.device(), pass.pool())
    }

    fn applied(&self, op: &str, device: &B, pool: &B::Pool) -> Result<Rc<B::Buffer>> {
        match (self.layout, &self.affine) {
            (Layout::Activations, None) => Ok(Rc::clone(&self.data)),
            (Layout::Activations, Some(affine)) => {
                let mut y = device.allocate(pool, self.shape).map_err(device_error(op))?;
                device.apply_affine(self.shape, affine, &self.data, &mut y).map_err(device_error(op))?;
                Ok(Rc::new(y))
            }
            (Layout::Images, _) => Err(images_unread(op)),
        }
    }
}

fn images_unread(op: &str) -> Error {
    Error::new(format!("{op} cannot read images directly: a convolution has to come first"))
}

/// Flattened images `[n, features, 1, 1]` as dfdx' matrix `[n, features]`, on which its ops (the loss) go on. The
/// gradient comes back under the matrix' key on the tape.
///
/// # Errors
/// Images that are not flattened, or a failure of the device.
pub fn to_matrix<B: PendingKernel>(x: &FeatureMap<B>, pass: &mut Pass<B>) -> Result<Matrix<B>> {
    let [n, features] = x.flat_shape("matrix")?;
    let (shape, x_data) = (x.shape, x.activations("matrix", pass)?);
    let y = pass.forward("matrix", |device| device.matrix([n, features], &x_data))?;
    if let Some(x_gradient) = x.gradient.clone() {
        let key = y.clone();
        pass.on_backward("matrix", move |device, pool, gradients| {
            let dy = take_gradient(gradients, &key)?;
            x_gradient.add(device, pool, shape, device.matrix_storage_to_buffer(pool, [n, features], &dy)?)
        });
    }
    Ok(y)
}

pub(crate) fn check_len(what: &str, len: usize, shape: [usize; 4]) -> Result<()> {
    let expected: usize = shape.iter().product();
    if len == expected && len > 0 {
        return Ok(());
    }
    Err(Error::new(format!("{what} of shape {shape:?} need {expected} values, not {len}")))
}
