use futures::FutureExt;

use super::*;

#[tokio::test]
async fn the_end_of_the_devices_thread_is_told() {
    let device = Device::cpu(1 << 30, Background::start().unwrap()).unwrap();
    assert!(device.run(|| 7).await.is_ok_and(|answer| answer == 7));
    let broken = device.run(|| -> u8 { panic!("planted") }).await;
    assert!(matches!(broken, Err(ExecuteError::Model(_))), "the thread goes on");
    assert!(device.gone().now_or_never().is_none());
    device.kill().await;
    device.gone().await;
    assert!(matches!(device.run(|| 7).await, Err(ExecuteError::DeviceGone)));
}
