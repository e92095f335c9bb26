using Vfio.Abi;

namespace Vfio.Pci;

/// <summary>
/// The secret that users of a physical function and of its virtual functions share, so that neither trusts the other unasked
/// (<c>vfio_pci_vf_token</c>, spec vfio-core §5.14). Its lock is a leaf.
/// </summary>
internal sealed class VirtualFunctionToken
{
    private readonly Lock _lock = new();
    private Guid _value = Guid.NewGuid();
    private int _users;

    public void Set(Guid value)
    {
        lock (_lock)
        {
            _value = value;
        }
    }

    /// <summary>A virtual function was opened or closed.</summary>
    public void AddUser(int count)
    {
        lock (_lock)
        {
            _users += count;
        }
    }

    /// <summary>Checks the token of somebody who opens a virtual function.</summary>
    public Errno MatchVirtual(Guid? token)
    {
        lock (_lock)
        {
            return token == _value ? Errno.None : Errno.EACCES;
        }
    }

    /// <summary>Checks the token of somebody who opens the physical function; without users of virtual ones it becomes the token.</summary>
    public Errno MatchPhysical(Guid? token)
    {
        lock (_lock)
        {
            if (_users > 0)
            {
                return token == _value ? Errno.None : Errno.EACCES;
            }

            _value = token ?? _value;
            return Errno.None;
        }
    }
}
