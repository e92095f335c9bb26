namespace Vfio.Devices.Igb;

/// <summary>What the physical function keeps of a virtual one: its mail. Caller holds the physical function's state lock.</summary>
internal sealed class IgbVirtualState
{
    /// <summary>PFSTS, PFACK: there is a message, or an acknowledgement, of the physical function; a read of V2PMAILBOX clears them.</summary>
    public const uint HasMessage = 0x10;
    public const uint HasAcknowledgement = 0x20;

    public uint Mail { get; set; }

    public void ReceiveMail(bool isMessage, bool isAcknowledgement)
        => Mail |= (isMessage ? HasMessage : 0) | (isAcknowledgement ? HasAcknowledgement : 0);
}
