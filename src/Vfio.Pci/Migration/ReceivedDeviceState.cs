using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Pci;

/// <summary>The stream of a device that takes a state: kept until all of it is there, in no more memory than the device's state can have.</summary>
internal sealed class ReceivedDeviceState(VfioPciDevice device) : MigrationDataFile
{
    private readonly Lock _lock = new();
    private readonly long _maximum = PciDeviceState.MaximumLength(device);
    private readonly byte[] _identity = PciDeviceState.SaveIdentity(device);
    private byte[] _received = new byte[4096];
    private int _length;
    private Errno _refusal;

    /// <summary>Gives the device what has come.</summary>
    /// <returns>Why not; the device then has the state of a reset, or, if nothing of it was changed, its own.</returns>
    public Errno TryRestore()
    {
        lock (_lock)
        {
            if (_refusal != Errno.None)
            {
                return _refusal;
            }

            if (_length < _identity.Length)
            {
                device.LogStateRefused($"it ends after {_length} bytes, in what says of which device it is; it was cut");
                return Errno.EINVAL;
            }

            return PciDeviceState.TryRestore(device, _received.AsSpan(_identity.Length, _length - _identity.Length));
        }
    }

    protected override IoResult OnWrite(ReadOnlySpan<byte> buffer)
    {
        lock (_lock)
        {
            if (_refusal != Errno.None)
            {
                return _refusal;
            }

            if (buffer.Length > _maximum - _length)
            {
                _refusal = Errno.EFBIG;
                device.LogStateRefused($"it has more than the {_maximum} bytes that this device's state can have; it is of another device");
                return _refusal;
            }

            if (_received.Length - _length < buffer.Length)
            {
                Array.Resize(ref _received, (int)Math.Min(_maximum, Math.Max(2L * _received.Length, _length + buffer.Length)));
            }

            int old = _length;
            buffer.CopyTo(_received.AsSpan(_length));
            _length += buffer.Length;
            _refusal = old < _identity.Length ? CheckIdentity() : Errno.None;
            return _refusal == Errno.None ? IoResult.Success(buffer.Length) : _refusal;
        }
    }

    /// <summary>Compares as far as it has come, so that a mismatch shows before the other device is stopped.</summary>
    private Errno CheckIdentity()
    {
        int count = Math.Min(_length, _identity.Length);
        ReadOnlySpan<byte> received = _received.AsSpan(0, count);
        if (received.SequenceEqual(_identity.AsSpan(0, count)))
        {
            return Errno.None;
        }

        Errno error = PciDeviceState.Compare(_identity, received, out string reason);
        device.LogStateRefused(reason);
        return error;
    }
}
