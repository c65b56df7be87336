//! The convolution on the CPU.

use super::{Conv2dKernel, Epilogue, Geometry, reference};
use crate::backend::{Buffer, Slot, Vector};
use crate::feature_map::{Accumulate, Layout};
use crate::ops::layout;
use dfdx::shapes::HasShape;
use dfdx::tensor::{Cpu, HasErr};

fn host(v: &Vector<Cpu>) -> Vec<f32> {
    let mut values = vec![0.0; v.shape().0];
    v.copy_into(&mut values);
    values
}

fn nchw(buffer: &Buffer, shape: [usize; 4], kind: Layout) -> Vec<f32> {
    let [n, c, h, w] = shape;
    let mut values = vec![0.0; n * c * h * w];
    match kind {
        Layout::Activations => layout::unblock(buffer, shape, &mut values),
        Layout::Images => {
            for (at, value) in buffer[..n * c * h * w].iter().enumerate() {
                let (pixel, channel) = (at / c, at % c);
                values[(pixel / (h * w) * c + channel) * h * w + pixel % (h * w)] = *value;
            }
        }
    }
    values
}

impl Conv2dKernel for Cpu {
    fn conv2d(
        &self,
        geometry: &Geometry,
        x: &Buffer,
        layout: Layout,
        weight: &Vector<Self>,
        bias: &Vector<Self>,
        epilogue: Epilogue<'_, Buffer>,
        y: &mut Buffer,
    ) -> Result<(), <Self as HasErr>::Err> {
        let result = reference::forward(geometry, &nchw(x, geometry.input(), layout), &host(weight), &host(bias));
        layout::block(&result, geometry.output(), y);
        if let Some(residual) = epilogue.residual {
            y.iter_mut().zip(residual.iter()).for_each(|(y, r)| *y += r);
        }
        if epilogue.relu {
            y.iter_mut().for_each(|y| *y = y.max(0.0));
        }
        Ok(())
    }

    fn conv2d_input_gradient(
        &self,
        geometry: &Geometry,
        dy: &Buffer,
        weight: &Vector<Self>,
        dx: &mut Buffer,
        accumulate: Accumulate,
    ) -> Result<(), <Self as HasErr>::Err> {
        let result =
            reference::input_gradient(geometry, &nchw(dy, geometry.output(), Layout::Activations), &host(weight));
        let mut blocked = vec![0.0; layout::blocked_len(geometry.input())];
        layout::block(&result, geometry.input(), &mut blocked);
        match accumulate {
            Accumulate::Overwrite => dx.copy_from_slice(&blocked),
            Accumulate::Add => dx.iter_mut().zip(&blocked).for_each(|(a, b)| *a += b),
        }
        Ok(())
    }

    fn conv2d_weight_gradient(
        &self,
        geometry: &Geometry,
        x: &Buffer,
        layout: Layout,
        dy: &Buffer,
        dweight: &mut Slot<Self>,
        dbias: &mut Slot<Self>,
    ) -> Result<(), <Self as HasErr>::Err> {
        let dy = nchw(dy, geometry.output(), Layout::Activations);
        let (dw, db) = reference::weight_gradient(geometry, &nchw(x, geometry.input(), layout), &dy);
        dweight.iter_mut().zip(&dw).for_each(|(a, b)| *a += b);
        dbias.iter_mut().zip(&db).for_each(|(a, b)| *a += b);
        Ok(())
    }
}
