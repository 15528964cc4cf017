"""What history shows of each activity, keyed by its name. Written by `make schema`: do not edit it."""

from __future__ import annotations

from headrace_client.activities import (
    AccountOutput,
    ActivityAddAccountMetadata,
    ActivityConfirmHold,
    ActivityCreateTransaction,
    ActivityCreditWallet,
    ActivityDebitWallet,
    ActivityGetAccount,
    ActivityGetPayment,
    ActivityGetWallet,
    ActivityListWallets,
    ActivityRevertTransaction,
    ActivityVoidHold,
    ByActivity,
    CreateTransferInitiationRequest,
    HoldOutput,
    PaymentOutput,
    StripeTransferRequest,
    TransactionOutput,
    V2TransactionOutput,
    WalletOutput,
    WalletsOutput,
)


class WorkflowInstanceHistoryStageInput(ByActivity):
    revert_transaction: ActivityRevertTransaction | None = None
    get_account: ActivityGetAccount | None = None
    get_payment: ActivityGetPayment | None = None
    get_wallet: ActivityGetWallet | None = None
    list_wallets: ActivityListWallets | None = None
    create_transaction: ActivityCreateTransaction | None = None
    add_account_metadata: ActivityAddAccountMetadata | None = None
    credit_wallet: ActivityCreditWallet | None = None
    debit_wallet: ActivityDebitWallet | None = None
    create_transfer_initiation: CreateTransferInitiationRequest | None = None
    stripe_transfer: StripeTransferRequest | None = None
    confirm_hold: ActivityConfirmHold | None = None
    void_hold: ActivityVoidHold | None = None


class WorkflowInstanceHistoryStageOutput(ByActivity):
    revert_transaction: TransactionOutput | None = None
    get_account: AccountOutput | None = None
    get_payment: PaymentOutput | None = None
    get_wallet: WalletOutput | None = None
    list_wallets: WalletsOutput | None = None
    create_transaction: TransactionOutput | None = None
    debit_wallet: HoldOutput | None = None


class V2WorkflowInstanceHistoryStageInput(ByActivity):
    get_account: ActivityGetAccount | None = None
    get_payment: ActivityGetPayment | None = None
    get_wallet: ActivityGetWallet | None = None
    list_wallets: ActivityListWallets | None = None
    create_transaction: ActivityCreateTransaction | None = None
    add_account_metadata: ActivityAddAccountMetadata | None = None
    credit_wallet: ActivityCreditWallet | None = None
    debit_wallet: ActivityDebitWallet | None = None
    create_transfer_initiation: CreateTransferInitiationRequest | None = None
    stripe_transfer: StripeTransferRequest | None = None
    confirm_hold: ActivityConfirmHold | None = None
    void_hold: ActivityVoidHold | None = None


class V2WorkflowInstanceHistoryStageOutput(ByActivity):
    get_account: AccountOutput | None = None
    get_payment: PaymentOutput | None = None
    get_wallet: WalletOutput | None = None
    list_wallets: WalletsOutput | None = None
    create_transaction: V2TransactionOutput | None = None
    debit_wallet: HoldOutput | None = None
