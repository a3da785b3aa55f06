fn count() -> ::durable::TransactionCall<'static, Result<u64>> {
    #[allow(clippy::too_many_arguments, clippy::type_complexity, clippy::unused_async)]
    async fn __body(tx: &mut PgConnection) -> Result<u64> {
        select(tx).await
    }
    #[allow(clippy::needless_update)]
    static __TRANSACTION: ::durable::__private::Transaction =
        ::durable::__private::Transaction { name: "count", options: ::durable::__private::TransactionOptions::DEFAULT };
    ::durable::__private::inventory::submit!(::durable::__private::RegisteredTransaction {
        transaction: &__TRANSACTION,
        connection: ::core::any::type_name::<PgConnection>,
        file: ::core::file!(),
        line: ::core::line!(),
    });
    let arguments = ();
    ::durable::__private::transaction::<PgConnection, _, _, _>(
        &__TRANSACTION,
        ::durable::__private::codec!(Result<u64>),
        ::core::clone::Clone::clone,
        arguments,
        |tx: &mut PgConnection, (), _| ::durable::__private::Box::pin(__body(tx)),
    )
}
pub fn create_user<'durable>(
    id: &'durable str,
    argument2: (Name, Name),
) -> ::durable::TransactionCall<'durable, Result<()>> {
    #[allow(clippy::too_many_arguments, clippy::type_complexity, clippy::unused_async)]
    async fn __body(connection: &mut SqliteConnection, id: &str, (first, last): (Name, Name)) -> Result<()> {
        insert(connection, id, first, last).await
    }
    #[allow(clippy::needless_update)]
    static __TRANSACTION: ::durable::__private::Transaction = ::durable::__private::Transaction {
        name: "create-user",
        options: ::durable::__private::TransactionOptions {
            isolation: ::core::option::Option::Some(::durable::__private::Isolation::RepeatableRead),
            read_only: true,
            database: ::core::option::Option::Some("orders"),
            ..::durable::__private::TransactionOptions::DEFAULT
        },
    };
    ::durable::__private::inventory::submit!(::durable::__private::RegisteredTransaction {
        transaction: &__TRANSACTION,
        connection: ::core::any::type_name::<SqliteConnection>,
        file: ::core::file!(),
        line: ::core::line!(),
    });
    let arguments = (id, argument2);
    ::durable::__private::transaction::<SqliteConnection, _, _, _>(
        &__TRANSACTION,
        ::durable::__private::codec!(Result<()>),
        |(id, argument2)| (::core::clone::Clone::clone(id), ::core::clone::Clone::clone(argument2)),
        arguments,
        |tx: &mut SqliteConnection, (id, argument2), _| ::durable::__private::Box::pin(__body(tx, id, argument2)),
    )
}
impl<T> Users<T> {
    #[doc(hidden)]
    #[allow(dead_code)]
    #[allow(clippy::too_many_arguments, clippy::type_complexity, clippy::unused_async)]
    async fn __durable_find(&self, tx: &mut PgConnection, id: &str) -> Result<T> {
        self.select(tx, id).await
    }
    /// Finds.
    pub fn find<'durable>(&'durable self, id: &'durable str) -> ::durable::TransactionCall<'durable, Result<T>> {
        #[allow(clippy::needless_update)]
        static __TRANSACTION: ::durable::__private::Transaction = ::durable::__private::Transaction {
            name: "find",
            options: ::durable::__private::TransactionOptions::DEFAULT,
        };
        ::durable::__private::inventory::submit!(::durable::__private::RegisteredTransaction {
            transaction: &__TRANSACTION,
            connection: ::core::any::type_name::<PgConnection>,
            file: ::core::file!(),
            line: ::core::line!(),
        });
        let arguments = (self, id);
        ::durable::__private::transaction::<PgConnection, _, _, _>(
            &__TRANSACTION,
            ::durable::__private::codec!(Result<T>),
            |(this, id)| (::core::clone::Clone::clone(this), ::core::clone::Clone::clone(id)),
            arguments,
            |tx: &mut PgConnection, (this, id), _| ::durable::__private::Box::pin(Self::__durable_find(this, tx, id)),
        )
    }
}
