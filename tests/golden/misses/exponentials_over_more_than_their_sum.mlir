// Near miss `exponentials_over_more_than_their_sum` of `exponentials_over_their_sum`: One more than their sum: a softmax that may attend to nothing.
// Left alone: probabilities_changed
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %0 = torch.operator "torch.aten.mT"(%arg0) : (!torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,40,63],f32> 
    %1 = torch.aten.matmul %arg1, %0 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,40,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %float1.250000e-01 = torch.constant.float 1.250000e-01
    %2 = torch.aten.mul.Scalar %1, %float1.250000e-01 : !torch.vtensor<[2,4,63,63],f32>, !torch.float -> !torch.vtensor<[2,4,63,63],f32>
    %3 = torch.aten.exp %2 : !torch.vtensor<[2,4,63,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %int-1 = torch.constant.int -1
    %4 = torch.prim.ListConstruct %int-1 : (!torch.int) -> !torch.list<int>
    %true = torch.constant.bool true
    %none = torch.constant.none
    %5 = torch.aten.sum.dim_IntList %3, %4, %true, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,4,63,1],f32>
    %int1 = torch.constant.int 1
    %6 = torch.aten.add.Scalar %5, %int1, %int1 : !torch.vtensor<[2,4,63,1],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,1],f32>
    %7 = torch.aten.div.Tensor %3, %6 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,1],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %8 = torch.aten.matmul %7, %arg2 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,40],f32> -> !torch.vtensor<[2,4,63,40],f32>
    return %8 : !torch.vtensor<[2,4,63,40],f32>
  }
}
