//! L-BFGS (Nocedal 1980; Nocedal and Wright 2006, algorithm 7.5) for smooth functions, with a line search that backs
//! off until the value has fallen enough (Armijo). Steps that do not show a positive curvature are not remembered.

use preprocess::Result;
use std::collections::VecDeque;

/// A function to be minimised.
pub(crate) trait Objective {
    /// Its value at a point, and its gradient there.
    ///
    /// # Errors
    /// It cannot be computed.
    fn value_and_gradient(&mut self, point: &[f64]) -> Result<(f64, Vec<f64>)>;
}

/// Steps whose changes are remembered.
const MEMORY: usize = 12;

/// The most steps.
const STEPS: usize = 300;

/// It has converged where no part of the gradient is larger …
const GRADIENT: f64 = 1e-5;

/// … or where so many steps together have lowered the value by less than this part of it.
const STALLED: (usize, f64) = (5, 1e-5);

/// What part of the fall that the gradient promises a step must bring.
const ARMIJO: f64 = 1e-4;

/// Halvings after which no shorter step is tried: single precision shows no fall any more.
const HALVINGS: usize = 20;

/// A change of the point, of the gradient, and the inverse of their product.
struct Change {
    point: Vec<f64>,
    gradient: Vec<f64>,
    inverse: f64,
}

/// Walks from `point` to where the function is least. `seen` is shown each point with the step's length.
///
/// # Errors
/// Those of the function and of `seen`.
pub(crate) fn minimize<O: Objective>(
    objective: &mut O,
    mut point: Vec<f64>,
    mut seen: impl FnMut(&mut O, &[f64], f64) -> Result<()>,
) -> Result<Vec<f64>> {
    let mut changes: VecDeque<Change> = VecDeque::with_capacity(MEMORY);
    let (mut value, mut gradient) = objective.value_and_gradient(&point)?;
    let mut values = vec![value];
    for _ in 0..STEPS {
        if gradient.iter().all(|part| part.abs() <= GRADIENT) || has_stalled(&values) {
            break;
        }
        let direction = direction(&changes, &gradient);
        let slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            break;
        }
        // Without a memory of curvature the gradient's length says nothing about the distance.
        let first = if changes.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt().max(1.0) } else { 1.0 };
        let found = search(objective, &point, value, &direction, slope, first)?;
        let Some(Found { length, moved, value: lower, gradient: next }) = found else { break };
        let change: Vec<f64> = moved.iter().zip(&point).map(|(new, old)| new - old).collect();
        let turned: Vec<f64> = next.iter().zip(&gradient).map(|(new, old)| new - old).collect();
        let curvature = dot(&change, &turned);
        if curvature > 1e-12 * dot(&turned, &turned) {
            if changes.len() == MEMORY {
                changes.pop_front();
            }
            changes.push_back(Change { point: change, gradient: turned, inverse: 1.0 / curvature });
        }
        (point, value, gradient) = (moved, lower, next);
        values.push(value);
        seen(objective, &point, length)?;
    }
    Ok(point)
}

fn has_stalled(values: &[f64]) -> bool {
    let (steps, part) = STALLED;
    let [.., last] = values else { return false };
    values.len().checked_sub(steps + 1).is_some_and(|at| values[at] - last <= part * last.abs())
}

/// Where the quadratic model that the changes describe has its minimum, seen from here.
fn direction(changes: &VecDeque<Change>, gradient: &[f64]) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|part| -part).collect();
    let mut factors = Vec::with_capacity(changes.len());
    for change in changes.iter().rev() {
        let factor = change.inverse * dot(&change.point, &direction);
        add(&mut direction, -factor, &change.gradient);
        factors.push(factor);
    }
    if let Some(last) = changes.back() {
        let scale = 1.0 / (last.inverse * dot(&last.gradient, &last.gradient));
        direction.iter_mut().for_each(|part| *part *= scale);
    }
    for (change, factor) in changes.iter().zip(factors.into_iter().rev()) {
        let correction = factor - change.inverse * dot(&change.gradient, &direction);
        add(&mut direction, correction, &change.point);
    }
    direction
}

/// A step that was taken.
struct Found {
    length: f64,
    moved: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

/// A step along `direction`; none where no step lowers the value any more.
fn search<O: Objective>(
    objective: &mut O,
    point: &[f64],
    value: f64,
    direction: &[f64],
    slope: f64,
    first: f64,
) -> Result<Option<Found>> {
    let mut length = first;
    for _ in 0..HALVINGS {
        let mut moved = point.to_vec();
        add(&mut moved, length, direction);
        let (reached, gradient) = objective.value_and_gradient(&moved)?;
        if reached <= value + ARMIJO * length * slope {
            return Ok(Some(Found { length, moved, value: reached, gradient }));
        }
        // The minimum of the parabola through what is known, within bounds; half of it where that is no number.
        let parabola = -slope * length * length / (2.0 * (reached - value - slope * length));
        let shorter = if parabola.is_finite() { parabola } else { length / 2.0 };
        length = shorter.clamp(0.1 * length, 0.5 * length);
    }
    Ok(None)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `sum += factor · values`.
fn add(sum: &mut [f64], factor: f64, values: &[f64]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Σ i (x_i - i)²`: its condition is that of the number of dimensions.
    struct Bowl;

    impl Objective for Bowl {
        fn value_and_gradient(&mut self, point: &[f64]) -> Result<(f64, Vec<f64>)> {
            let parts = || point.iter().zip(1..).map(|(x, at)| (f64::from(at), x - f64::from(at)));
            Ok((parts().map(|(at, x)| at * x * x).sum(), parts().map(|(at, x)| 2.0 * at * x).collect()))
        }
    }

    /// Rosenbrock's valley.
    struct Valley;

    impl Objective for Valley {
        fn value_and_gradient(&mut self, point: &[f64]) -> Result<(f64, Vec<f64>)> {
            let (x, y) = (point[0], point[1]);
            let (a, b) = (1.0 - x, y - x * x);
            Ok((a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * x * b, 200.0 * b]))
        }
    }

    #[test]
    fn finds_the_minimum_of_a_bowl_and_of_a_valley() {
        let mut steps = 0;
        let found = minimize(&mut Bowl, vec![0.0; 100], |_, _, _| {
            steps += 1;
            Ok(())
        });
        for (found, at) in found.unwrap().iter().zip(1..) {
            assert!((found - f64::from(at)).abs() < 1e-2, "{found} is not {at}");
        }
        assert!(steps < 100, "{steps} steps");
        let found = minimize(&mut Valley, vec![-1.2, 1.0], |_, _, _| Ok(())).unwrap();
        assert!(found.iter().all(|part| (part - 1.0).abs() < 1e-3), "{found:?}");
    }

    #[test]
    fn stays_where_nothing_falls() {
        assert_eq!(minimize(&mut Valley, vec![1.0, 1.0], |_, _, _| unreachable!()).unwrap(), [1.0, 1.0]);
    }
}
