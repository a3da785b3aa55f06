#[allow(single_use_lifetimes, clippy::multiple_bound_locations)]
fn gather<'durable, 'arg0: 'durable, 'a: 'durable, T: Payload + 'durable, const N: usize>(
    argument0: (T, T),
    rest: &'a [T; N],
    keys: Vec<&'arg0 str>,
    shown: &'durable (impl Display + 'durable),
) -> ::durable::StepCall<'durable, Vec<T>>
where
    T: Clone,
{
    #[allow(clippy::too_many_arguments, clippy::type_complexity, clippy::unused_async)]
    async fn __body<'a, T: Payload, const N: usize>(
        (left, right): (T, T),
        rest: &'a [T; N],
        keys: Vec<&str>,
        shown: &impl Display,
    ) -> Vec<T>
    where
        T: Clone,
    {
        todo!()
    }
    #[allow(clippy::needless_update)]
    static __STEP: ::durable::__private::Step =
        ::durable::__private::Step { name: "gather", options: ::durable::__private::StepOptions::DEFAULT };
    let arguments = (argument0, rest, keys, shown);
    let mockable = ::core::option::Option::None;
    ::durable::__private::step(
        &__STEP,
        ::durable::__private::codec!(Vec<T>),
        ::durable::__private::cloner!(&arguments),
        mockable,
        arguments,
        |(argument0, rest, keys, shown)| __body::<T, N>(argument0, rest, keys, shown),
    )
}
