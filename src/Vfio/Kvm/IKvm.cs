namespace Vfio;

/// <summary>A virtual machine as a user of devices (<c>struct kvm</c>): opaque, and counted.</summary>
public interface IKvm
{
    /// <summary>Takes a reference.</summary>
    /// <returns>False when the machine is going away.</returns>
    /// <remarks><c>kvm_get_kvm_safe</c>. Called under the group's and the device set's lock.</remarks>
    bool TryGet();

    /// <summary>Gives a reference back.</summary>
    /// <remarks><c>kvm_put_kvm</c>.</remarks>
    void Put();
}
