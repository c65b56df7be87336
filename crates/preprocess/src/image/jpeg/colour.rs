//! YCbCr to RGB, as JFIF defines it (ITU-T T.871, section 7).
//!
//! ```text
//! R = Y + 1.402 (Cr - 128)
//! G = Y - 0.344136 (Cb - 128) - 0.714136 (Cr - 128)
//! B = Y + 1.772 (Cb - 128)
//! ```
//! In whole numbers of 1/32 level.

/// Pixels that are converted at a time.
const LANES: usize = 16;

/// Converts a line; all slices begin at its first pixel, and `rgb` has its length.
pub(crate) fn ycc_to_rgb(y: &[u8], cb: &[u8], cr: &[u8], rgb: &mut [u8]) {
    let (chunks, rest) = rgb.as_chunks_mut::<{ 3 * LANES }>();
    let whole = chunks.len() * LANES;
    let lines = [y, cb, cr].map(|line| line.as_chunks::<LANES>().0);
    for (((chunk, y), cb), cr) in chunks.iter_mut().zip(lines[0]).zip(lines[1]).zip(lines[2]) {
        *chunk = convert(y, cb, cr);
    }
    let last = |line: &[u8]| std::array::from_fn(|lane| line.get(whole + lane).copied().unwrap_or_default());
    let length = rest.len();
    rest.copy_from_slice(&convert(&last(y), &last(cb), &last(cr))[..length]);
}

#[inline(always)]
fn convert(y: &[u8; LANES], cb: &[u8; LANES], cr: &[u8; LANES]) -> [u8; 3 * LANES] {
    let mut channels = [[0u8; LANES]; 3];
    for lane in 0..LANES {
        let light = i16::from(y[lane]) * ONE + ONE / 2;
        let (cb, cr) = (i16::from(cb[lane]) - 128, i16::from(cr[lane]) - 128);
        let to_byte = |value: i16| (value >> FRACTION).clamp(0, 255) as u8;
        channels[0][lane] = to_byte(light + times::<{ fixed(1.402) }>(cr));
        channels[1][lane] = to_byte(light - times::<{ fixed(0.344_136) }>(cb) - times::<{ fixed(0.714_136) }>(cr));
        channels[2][lane] = to_byte(light + times::<{ fixed(1.772) }>(cb));
    }
    let mut rgb = [0; 3 * LANES];
    for (lane, pixel) in rgb.as_chunks_mut().0.iter_mut().enumerate() {
        *pixel = [channels[0][lane], channels[1][lane], channels[2][lane]];
    }
    rgb
}

/// Fractional bits of a channel's value before it is rounded: as many as 16 bits have room for.
const FRACTION: u32 = 5;
const ONE: i16 = 1 << FRACTION;

/// A factor with 8 more fractional bits than that.
const fn fixed(factor: f64) -> i16 {
    (factor * (ONE as f64) * 256.0 + 0.5) as i16
}

/// `chroma FACTOR / 256`, rounded down: the upper half of a product, which is one instruction for eight values.
#[inline(always)]
fn times<const FACTOR: i16>(chroma: i16) -> i16 {
    ((i32::from(chroma << 8) * i32::from(FACTOR)) >> 16) as i16
}

/// Converts a line of grey.
pub(crate) fn grey_to_rgb(grey: &[u8], rgb: &mut [u8]) {
    for (pixel, &value) in rgb.as_chunks_mut().0.iter_mut().zip(grey) {
        *pixel = [value; 3];
    }
}

/// Puts channels that are colours already side by side.
pub(crate) fn rgb_to_rgb(red: &[u8], green: &[u8], blue: &[u8], rgb: &mut [u8]) {
    for (((pixel, &red), &green), &blue) in rgb.as_chunks_mut().0.iter_mut().zip(red).zip(green).zip(blue) {
        *pixel = [red, green, blue];
    }
}

/// `R = C K / 255`, rounded, on inverted inks: every viewer takes them for inverted, as Adobe writes them.
pub(crate) fn cmyk_to_rgb(inks: [&[u8]; 4], rgb: &mut [u8]) {
    rgb_to_rgb(inks[0], inks[1], inks[2], rgb);
    darken(inks[3], rgb);
}

/// As [`cmyk_to_rgb`], the first three inks as luma and chroma of the colours that they absorb (Adobe's technical note
/// 5116).
pub(crate) fn ycck_to_rgb(inks: [&[u8]; 4], rgb: &mut [u8]) {
    ycc_to_rgb(inks[0], inks[1], inks[2], rgb);
    rgb.iter_mut().for_each(|value| *value = 255 - *value);
    darken(inks[3], rgb);
}

fn darken(black: &[u8], rgb: &mut [u8]) {
    for (pixel, &black) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(black) {
        *pixel = pixel.map(|ink| ((u32::from(ink) * u32::from(black) + 127) / 255) as u8);
    }
}
