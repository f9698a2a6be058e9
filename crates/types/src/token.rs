use crate::named::named;

named! {
    /// Through whom a device is reached.
    pub enum ProviderKey {
        FirebaseFcm = "firebase-fcm",
        Apn = "apn",
        Expo = "expo",
        Onesignal = "onesignal",
    }
}

named! {
    /// Whether a device token can be used.
    pub enum TokenStatus {
        Active = "active",
        Unknown = "unknown",
        Failed = "failed",
        Revoked = "revoked",
    }
}
