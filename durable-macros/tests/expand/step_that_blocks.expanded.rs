/// Hashes.
pub(crate) fn digest(data: Vec<u8>, rounds: u32) -> ::durable::StepCall<'static, Digest> {
    #[allow(
        clippy::too_many_arguments,
        clippy::type_complexity,
        clippy::needless_pass_by_value,
        clippy::missing_const_for_fn
    )]
    fn __body(data: Vec<u8>, rounds: u32) -> Digest {
        hash(&data, rounds)
    }
    #[allow(clippy::needless_update)]
    static __STEP: ::durable::__private::Step =
        ::durable::__private::Step { name: "digest", options: ::durable::__private::StepOptions::DEFAULT };
    let arguments = (data, rounds);
    let mockable = ::durable::__private::mockable!(&arguments, (data, rounds,));
    ::durable::__private::step(
        &__STEP,
        ::durable::__private::codec!(Digest),
        ::durable::__private::cloner!(&arguments),
        mockable,
        arguments,
        |(data, rounds)| ::durable::__private::blocking(move || __body(data, rounds)),
    )
}
