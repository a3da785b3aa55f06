impl<T> Shop<T> {
    #[cfg(feature = "find")]
    #[doc(hidden)]
    #[allow(dead_code)]
    #[allow(clippy::too_many_arguments, clippy::type_complexity, clippy::unused_async)]
    #[allow(clippy::unused_self)]
    async fn __durable_find(&self, item: &str) -> Result<T> {
        self.look(item).await
    }
    /// Finds.
    #[cfg(feature = "find")]
    #[allow(clippy::unused_self)]
    pub fn find<'durable>(&'durable self, item: &'durable str) -> ::durable::StepCall<'durable, Result<T>> {
        #[allow(clippy::needless_update)]
        static __STEP: ::durable::__private::Step =
            ::durable::__private::Step { name: "find", options: ::durable::__private::StepOptions::DEFAULT };
        let arguments = (self, item);
        let mockable = ::core::option::Option::None;
        ::durable::__private::step(
            &__STEP,
            ::durable::__private::codec!(Result<T>),
            ::durable::__private::cloner!(&arguments),
            mockable,
            arguments,
            |(this, item)| Self::__durable_find(this, item),
        )
    }
    #[doc(hidden)]
    #[allow(dead_code)]
    #[allow(clippy::too_many_arguments, clippy::type_complexity, clippy::unused_async)]
    async fn __durable_close(mut self: Box<Self>) -> u32 {
        self.stock()
    }
    fn close<'durable>(self: Box<Self>) -> ::durable::StepCall<'durable, u32>
    where
        Self: 'durable,
    {
        #[allow(clippy::needless_update)]
        static __STEP: ::durable::__private::Step =
            ::durable::__private::Step { name: "close", options: ::durable::__private::StepOptions::DEFAULT };
        let arguments = (self,);
        let mockable = ::core::option::Option::None;
        ::durable::__private::step(
            &__STEP,
            ::durable::__private::codec!(u32),
            ::durable::__private::cloner!(&arguments),
            mockable,
            arguments,
            |(this,)| Self::__durable_close(this),
        )
    }
    #[doc(hidden)]
    #[allow(dead_code)]
    #[allow(
        clippy::too_many_arguments,
        clippy::type_complexity,
        clippy::needless_pass_by_value,
        clippy::missing_const_for_fn
    )]
    fn __durable_opens(day: u32) -> u32 {
        Self::OPEN + day
    }
    fn opens(day: u32) -> ::durable::StepCall<'static, u32>
    where
        Self: 'static,
    {
        #[allow(clippy::needless_update)]
        static __STEP: ::durable::__private::Step = ::durable::__private::Step {
            name: "opens",
            options: ::durable::__private::StepOptions { retries: 1, ..::durable::__private::StepOptions::DEFAULT },
        };
        let arguments = (day,);
        let mockable = ::core::option::Option::None;
        ::durable::__private::step(
            &__STEP,
            ::durable::__private::codec!(u32),
            ::core::option::Option::Some(::core::clone::Clone::clone),
            mockable,
            arguments,
            |(day,)| ::durable::__private::blocking(move || Self::__durable_opens(day)),
        )
    }
}
