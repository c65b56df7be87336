//! Two-dimensional convolution (cross-correlation, as in all frameworks) optionally with a bias, a residual and an
//! activation f. An input that is still to be normalised ([`Affine`]) is normalised on the way.
//!
//! ```text
//! y[n,o,i,j] = f( b[o] + r[n,o,i,j] + Σ_{c,u,v} w[o,c,u,v] · x[n,c, i·s+u-p, j·s+v-q] )
//! ```
//! with `x` `[n, c, h, w]`, `w` `[o, c, kh, kw]`, `b` `[o]`, stride `s`, `p` rows and `q` columns of zeros before the
//! image, and a residual `r` of `y`'s shape. With groups the channels of both sides fall into as many parts, and an
//! output channel sees those of its own part: `w` is `[o, c / groups, kh, kw]`, as in PyTorch. Gradients, with `d` the
//! gradient of what is inside f:
//! ```text
//! db[o] = Σ_{n,i,j} d[n,o,i,j]      dr = d      dw[o,c,u,v] = Σ_{n,i,j} d[n,o,i,j] · x[n,c, i·s+u-p, j·s+v-q]
//! dx[n,c,k,l] = Σ_{o,u,v} w[o,c,u,v] · d[n,o,i,j]   where i·s+u-p = k and j·s+v-q = l
//! ```

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod dense;
mod depthwise;
mod direct;
#[cfg(feature = "cuda")]
mod grouped;
mod images;
mod plain;
pub mod reference;
mod tile;
mod winograd;

use crate::ops::activation::ActivationKernel;
use crate::ops::batch_norm2d::BatchNorm2dKernel;
use crate::tensor::activation::Activation;
use crate::tensor::feature_map::{FeatureMap, Layout};
use crate::tensor::gradient::{Gathered, GradientCell};
use crate::tensor::memory::{Accumulate, Memory, Slot, Vector, take_gradient};
use crate::tensor::op_times::Op;
use crate::tensor::parameter::Parameter;
use crate::tensor::pass::Pass;
use crate::tensor::pending::{Affine, NormShare};
use dfdx::tensor::Gradients;
use preprocess::{Error, Result};
use std::rc::Rc;

/// What lies around the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// Nothing: the kernel stays inside.
    Valid,
    /// So many rows and columns of zeros on each side, as PyTorch's `padding`.
    Symmetric(usize),
    /// Zeros, so that the output has `ceil(size / stride)` rows and columns; an odd one comes after the image, as in
    /// TensorFlow and Keras.
    Same,
}

/// Sizes of one convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Images.
    pub n: usize,
    /// Input channels, of all groups.
    pub c: usize,
    /// Input rows.
    pub h: usize,
    /// Input columns.
    pub w: usize,
    /// Output channels, of all groups.
    pub o: usize,
    /// Parts that the channels on both sides fall into, in their order: each output channel sees the input channels of
    /// its own part.
    pub groups: usize,
    /// Kernel rows.
    pub kernel_h: usize,
    /// Kernel columns.
    pub kernel_w: usize,
    /// Step of the kernel, both ways.
    pub stride: usize,
    /// Rows of zeros above the image.
    pub pad_top: usize,
    /// Columns of zeros to the left of the image.
    pub pad_left: usize,
    /// Output rows.
    pub out_h: usize,
    /// Output columns.
    pub out_w: usize,
}

impl Geometry {
    /// The convolution of images `[n, c, h, w]` by a kernel `[o, c / groups, kernel_h, kernel_w]`; none where the
    /// kernel does not fit into the image, or the groups divide the channels of one side with a remainder.
    pub fn new(input: [usize; 4], kernel: [usize; 4], stride: usize, padding: Padding) -> Option<Self> {
        let ([n, c, h, w], [o, channels, kernel_h, kernel_w]) = (input, kernel);
        let groups = c.checked_div(channels)?;
        if groups == 0 || groups * channels != c || !o.is_multiple_of(groups) {
            return None;
        }
        let (out_h, pad_top) = padded(h, kernel_h, stride, padding)?;
        let (out_w, pad_left) = padded(w, kernel_w, stride, padding)?;
        Some(Self { n, c, h, w, o, groups, kernel_h, kernel_w, stride, pad_top, pad_left, out_h, out_w })
    }

    /// `[n, c, h, w]` of the input.
    pub fn input(&self) -> [usize; 4] {
        [self.n, self.c, self.h, self.w]
    }

    /// `[n, c, h, w]` of the output.
    pub fn output(&self) -> [usize; 4] {
        [self.n, self.o, self.out_h, self.out_w]
    }

    /// `[o, c / groups, kernel_h, kernel_w]`.
    pub fn kernel(&self) -> [usize; 4] {
        [self.o, self.c / self.groups, self.kernel_h, self.kernel_w]
    }

    /// Whether every channel is convolved by itself.
    pub(crate) fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.c && self.groups == self.o
    }

    /// Floating-point operations of one direction, computed directly.
    pub(crate) fn flops(&self) -> usize {
        2 * self.output().iter().product::<usize>() * self.c / self.groups * self.kernel_h * self.kernel_w
    }
}

/// Output size and zeros before the image, along one axis.
fn padded(size: usize, kernel: usize, stride: usize, padding: Padding) -> Option<(usize, usize)> {
    match padding {
        Padding::Valid => Some((size.checked_sub(kernel)? / stride + 1, 0)),
        Padding::Symmetric(zeros) => Some(((size + 2 * zeros).checked_sub(kernel)? / stride + 1, zeros)),
        Padding::Same => {
            let out = size.div_ceil(stride);
            let zeros = ((out - 1) * stride + kernel).saturating_sub(size);
            (size > 0).then_some((out, zeros / 2))
        }
    }
}

/// What a convolution reads.
#[derive(Debug)]
pub struct Input<'a, B: Memory> {
    /// The activations or images.
    pub data: &'a B::Buffer,
    /// How they are laid out.
    pub layout: Layout,
    /// Applied to activations before anything else; the zeros around the image stay zeros.
    pub affine: Option<&'a Affine<B>>,
}

impl<B: Memory> Clone for Input<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Memory> Copy for Input<'_, B> {}

/// What is done to a convolution's result before and as it is stored.
#[derive(Debug)]
pub struct Epilogue<'a, T: ?Sized> {
    /// Added to the output: same shape.
    pub residual: Option<&'a T>,
    /// What the result ends with.
    pub activation: Activation,
    /// Takes each channel's mean and mean squared deviation in each image ([`BatchNorm2dKernel::moments_shape`]).
    ///
    /// [`BatchNorm2dKernel::moments_shape`]: crate::ops::batch_norm2d::BatchNorm2dKernel::moments_shape
    pub moments: Option<&'a mut T>,
}

/// Kernels of the convolution.
pub trait Conv2dKernel: BatchNorm2dKernel + ActivationKernel {
    /// `y` from `x`.
    #[allow(clippy::too_many_arguments)]
    fn conv2d(
        &self,
        pool: &Self::Pool,
        geometry: &Geometry,
        x: Input<'_, Self>,
        weight: &Vector<Self>,
        bias: Option<&Vector<Self>>,
        epilogue: Epilogue<'_, Self::Buffer>,
        y: &mut Self::Buffer,
    ) -> Result<(), Self::Err>
    where
        Self: Sized;

    /// The gradients, from that by the output: adds to what the slots of weight and bias hold, and writes or adds to
    /// `dx`, if there is one.
    #[allow(clippy::too_many_arguments)]
    fn conv2d_gradient(
        &self,
        pool: &Self::Pool,
        geometry: &Geometry,
        x: Input<'_, Self>,
        dy: OutputGradient<'_, Self>,
        weight: &Vector<Self>,
        gradients: ConvGradients<'_, Self>,
        dx: Option<(&mut Self::Buffer, Accumulate)>,
    ) -> Result<(), Self::Err>
    where
        Self: Sized;
}

/// Where the gradients of a convolution gather.
#[derive(Debug)]
pub struct ConvGradients<'a, B: Memory> {
    /// dw.
    pub weight: &'a mut Slot<B>,
    /// db, if there is a bias.
    pub bias: Option<&'a mut Slot<B>>,
}

/// The gradient `d` inside the activation, or what it follows from: computed image by image, it is never written as a
/// whole.
#[derive(Debug)]
pub enum OutputGradient<'a, B: Memory> {
    /// `d` itself.
    Whole(&'a B::Buffer),
    /// `dy` where `y` is positive.
    Clamped {
        /// The gradient by the output.
        dy: &'a B::Buffer,
        /// The output.
        y: &'a B::Buffer,
    },
    /// The share of the normalisation that read the output, and the sum of the others'.
    Normalized {
        /// Still to be computed.
        share: &'a NormShare<B>,
        /// If there are any.
        others: Option<&'a B::Buffer>,
    },
}

impl<B: Memory> Clone for OutputGradient<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Memory> Copy for OutputGradient<'_, B> {}

/// How [`conv2d`] is applied.
#[derive(Debug)]
pub struct Options<'a, B: Conv2dKernel> {
    /// Step of the kernel, both ways.
    pub stride: usize,
    /// What lies around the image.
    pub padding: Padding,
    /// Parts that the channels fall into: 1, or as many as there are channels (depthwise), or between.
    pub groups: usize,
    /// Added to the output before the activation: same shape.
    pub residual: Option<&'a FeatureMap<B>>,
    /// What the output ends with.
    pub activation: Activation,
    /// Take the output's moments in training: batch normalisation follows.
    pub moments: bool,
}

/// Applies a convolution; formula and shapes are the module's.
///
/// # Errors
/// Shapes that do not fit each other, or a failure of the device.
pub fn conv2d<B: Conv2dKernel>(
    x: &FeatureMap<B>,
    weight: &Parameter<B>,
    bias: Option<&Parameter<B>>,
    options: Options<'_, B>,
    pass: &mut Pass<B>,
) -> Result<FeatureMap<B>> {
    let op = weight.name.trim_end_matches(".weight").to_owned();
    let geometry = checked_geometry(x, weight, bias, &options)?;
    let Options { residual, activation, .. } = options;
    let residual_data = residual.map(|r| r.activations(&op, pass)).transpose()?;
    let flops = geometry.flops();
    let take_moments = options.moments && pass.is_training();
    let (y, moments) = pass.forward(Op { name: &op, flops }, |device| {
        let pool = pass.pool();
        let mut y = device.allocate(pool, geometry.output())?;
        let moments_shape = B::moments_shape(geometry.output());
        let mut moments = take_moments.then(|| device.allocate(pool, moments_shape)).transpose()?;
        let epilogue = Epilogue { residual: residual_data.as_deref(), activation, moments: moments.as_mut() };
        device.conv2d(pool, &geometry, input(x), &weight.tensor, bias.map(|bias| &bias.tensor), epilogue, &mut y)?;
        Ok((y, moments))
    })?;
    let mut y = FeatureMap::new(geometry.output(), y, pass);
    y.moments = moments.map(Rc::new);
    if let Some(y_gradient) = y.gradient.clone() {
        let residual = residual.and_then(|residual| residual.gradient.clone());
        let bias = bias.map(|bias| bias.tensor.clone());
        let (x, weight, y) = (x.clone(), weight.tensor.clone(), y.data.clone());
        let backward = Backward { geometry, x, weight, bias, residual, activation, y, y_gradient };
        let directions = if backward.x.gradient.is_some() { 2 } else { 1 };
        pass.on_backward(Op { name: &op, flops: directions * flops }, move |device, pool, gradients| {
            backward.run(device, pool, gradients)
        });
    }
    Ok(y)
}

/// What the backward pass of a convolution needs.
struct Backward<B: Conv2dKernel> {
    geometry: Geometry,
    x: FeatureMap<B>,
    weight: Vector<B>,
    bias: Option<Vector<B>>,
    residual: Option<GradientCell<B>>,
    activation: Activation,
    y: Rc<B::Buffer>,
    y_gradient: GradientCell<B>,
}

impl<B: Conv2dKernel> Backward<B> {
    fn run(self, device: &B, pool: &B::Pool, gradients: &mut Gradients<f32, B>) -> std::result::Result<(), B::Err> {
        let Self { geometry, x, weight, bias, residual, activation, y, y_gradient } = self;
        let shape = geometry.output();
        // A residual's gradient and an activation need the whole gradient by the output.
        let active = activation != Activation::None;
        let shares = match active || residual.is_some() {
            true => Gathered { sum: y_gradient.take(device, pool, shape)?, pending: None },
            false => y_gradient.take_shares(),
        };
        let Gathered { mut sum, pending } = shares;
        // The kernels look for what ReLU lets through themselves, if nobody else needs to know.
        let on_the_way = activation == Activation::Relu && residual.is_none();
        if let (Some(dy), true, false) = (&mut sum, active, on_the_way) {
            device.activation_gradient(activation, &y, dy)?;
        }
        let dy = match (&pending, &sum) {
            (Some(share), others) => OutputGradient::Normalized { share, others: others.as_ref() },
            (None, Some(dy)) if on_the_way => OutputGradient::Clamped { dy, y: &*y },
            (None, Some(dy)) => OutputGradient::Whole(dy),
            (None, None) => return Ok(()),
        };
        let mut dbias = bias.as_ref().map(|bias| take_gradient(gradients, bias)).transpose()?;
        let gathered = ConvGradients { weight: gradients.get_or_alloc_mut(&weight)?, bias: dbias.as_mut() };
        match &x.gradient {
            Some(cell) => cell.add_with(device, pool, geometry.input(), |dx, accumulate| {
                device.conv2d_gradient(pool, &geometry, input(&x), dy, &weight, gathered, Some((dx, accumulate)))
            })?,
            None => device.conv2d_gradient(pool, &geometry, input(&x), dy, &weight, gathered, None)?,
        }
        if let Some((bias, dbias)) = bias.as_ref().zip(dbias) {
            *gradients.get_or_alloc_mut(bias)? = dbias;
        }
        match residual.zip(sum) {
            Some((cell, dy)) => cell.add(device, pool, shape, dy),
            None => Ok(()),
        }
    }
}

fn input<B: Conv2dKernel>(x: &FeatureMap<B>) -> Input<'_, B> {
    Input { data: &x.data, layout: x.layout, affine: x.affine.as_deref() }
}

fn checked_geometry<B: Conv2dKernel>(
    x: &FeatureMap<B>,
    weight: &Parameter<B>,
    bias: Option<&Parameter<B>>,
    options: &Options<'_, B>,
) -> Result<Geometry> {
    let refused = |why: String| {
        Error::new(format!("cannot apply `{}` to images of shape {:?}", weight.name, x.shape)).because(why)
    };
    let &[o, c, kernel_h, kernel_w] = weight.shape.as_slice() else {
        return Err(refused(format!("a kernel has four sizes, this one {:?}", weight.shape)));
    };
    if c * options.groups != x.shape[1] || bias.is_some_and(|bias| bias.shape != [o]) {
        let bias = bias.map(|bias| &bias.shape);
        let groups = options.groups;
        return Err(refused(format!("the kernel's shape is {:?}, the bias' {bias:?}, groups {groups}", weight.shape)));
    }
    let geometry = Geometry::new(x.shape, [o, c, kernel_h, kernel_w], options.stride, options.padding)
        .ok_or_else(|| refused(format!("a {kernel_h}x{kernel_w} kernel does not fit")))?;
    match options.residual {
        Some(residual) if residual.shape != geometry.output() => {
            Err(refused(format!("the residual's shape is {:?}, the output's {:?}", residual.shape, geometry.output())))
        }
        _ => Ok(geometry),
    }
}
